package main

import (
	"flag"
	"fmt"
	"os"
)

// cmdDown ends a cluster. It succeeds when there is none.
func cmdDown(args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	dirValue := dirFlag(flags)
	if err := noArguments(flags, args); err != nil {
		return err
	}
	dir, err := resolveDir(*dirValue)
	if err != nil {
		return err
	}
	return down(dir, false)
}

// stateNames is everything that a cluster may have in its directory, except its logs.
var stateNames = []string{
	"state.json", "kubeconfig", "audit-policy.yaml", "pki", "etcd", "kwok.yaml", "volumes", "node",
}

// recordNames stay after `down`, to look at, until the next `up`.
var recordNames = []string{"logs", "audit.log"}

// down ends every process of the cluster in dir and removes what it made; it
// needs no state file, so it works after any crash. Records go only if asked.
func down(dir string, records bool) error {
	// The node first: its kubelet would restart what ends. Killing its first
	// process ends all of its containers, and with them go its mounts, network
	// namespaces and iptables rules: they exist in its own namespaces only.
	if err := stopWhere(dir, 0, func(p Process) bool { return p.Component == nodeComponent }); err != nil {
		return err
	}
	// etcd last: without it the API server cannot end in order, and waits. A guard
	// belongs to a running `testbed run` and ends with it.
	for _, last := range []string{etcdName, ""} {
		if err := stopWhere(dir, termGrace, func(p Process) bool {
			return p.Component != guardComponent && p.Component != last
		}); err != nil {
			return err
		}
	}
	if err := removeNodeTraces(dir); err != nil {
		return err
	}
	if !claimed(dir) {
		return nil // never a cluster's, or removed already
	}
	names := stateNames
	if records {
		names = append(append([]string{}, stateNames...), recordNames...)
	}
	for _, name := range names {
		// One by one: a user may keep other things here, such as notes beside the logs.
		if err := os.RemoveAll(dir + "/" + name); err != nil {
			return fmt.Errorf("cannot remove what the cluster left: %w", err)
		}
	}
	return nil
}
