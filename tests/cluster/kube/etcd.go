//go:build !control_plane

package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdReadyTimeout bounds the start: a single member with an empty or small
// data directory is ready in well under a second, ten on a loaded machine.
const etcdReadyTimeout = 60 * time.Second

// etcdQuotaBytes holds the load tests' objects with their history; etcd's
// default of 2 GiB would do as well, but says "no space" at the worst moment.
const etcdQuotaBytes = 4 << 30

// slowRequest is worth a line in the log; unset, every request is.
const slowRequest = time.Second

// runEtcd serves one etcd member on loopback. It does not sync to disk: a test
// cluster outlives the death of a process, not that of the machine.
func runEtcd() int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dir := flags.String("data-dir", "", "directory of the data")
	client := flags.String("listen-client-url", "", "URL that clients use, http://127.0.0.1:PORT")
	peer := flags.String("listen-peer-url", "", "URL for peers, http://127.0.0.1:PORT")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	config := embed.NewConfig()
	config.Dir = *dir
	config.Name = "testbed"
	config.UnsafeNoFsync = true
	config.QuotaBackendBytes = etcdQuotaBytes
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = slowRequest
	clientURL, err := url.Parse(*client)
	if err != nil || *client == "" {
		fmt.Fprintf(os.Stderr, "etcd: --listen-client-url is not a URL: %q\n", *client)
		return 2
	}
	peerURL, err := url.Parse(*peer)
	if err != nil || *peer == "" {
		fmt.Fprintf(os.Stderr, "etcd: --listen-peer-url is not a URL: %q\n", *peer)
		return 2
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	server, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-stop:
		return 0
	case <-time.After(etcdReadyTimeout):
		fmt.Fprintf(os.Stderr, "etcd: not ready after %s\n", etcdReadyTimeout)
		return 1
	}
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
}
