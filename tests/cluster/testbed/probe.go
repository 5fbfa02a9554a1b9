package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	probePort = "8080"
	// probeTimeout covers kube-proxy's and DNS' delay after a Service was made.
	probeTimeout = 20 * time.Second
	probeRetry   = 500 * time.Millisecond
)

// cmdProbe is what the self-test runs in pods, from the pause image. Without
// arguments it serves HTTP; with one it resolves that name, and with NAME:PORT
// it connects as well, until that works.
func cmdProbe(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Println("probe: serving on port", probePort)
		server := &http.Server{Addr: ":" + probePort, ReadHeaderTimeout: requestTimeout}
		context.AfterFunc(ctx, func() { server.Close() })
		return server.ListenAndServe()
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for {
		err := probe(ctx, args[0])
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(probeRetry):
		}
	}
}

func probe(ctx context.Context, target string) error {
	host, number, err := net.SplitHostPort(target)
	if err != nil {
		host = target
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return err
	}
	fmt.Println("probe:", host, "is", addresses)
	if number == "" {
		return nil
	}
	connection, err := (&net.Dialer{Timeout: requestTimeout}).DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	fmt.Println("probe: connected to", target)
	return connection.Close()
}
