package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The node is one process tree in namespaces of its own for processes, mounts
// and network. Killing its first process ends every container, and the kernel
// then removes their mounts, network namespaces, interfaces and iptables rules:
// there is nothing to forget. This file is its outside.

const nodeComponent = "node"

// nodeTimeout covers containerd, kubelet, kube-proxy and DNS on two busy cores.
const nodeTimeout = 180 * time.Second

// startNode starts the node and waits until pods can run, resolve and connect.
func (c *Cluster) startNode(ctx context.Context) error {
	archive := c.path("node", "pause.tar")
	if err := c.writeNodeConfigs(); err != nil {
		return err
	}
	if err := writePauseImage(archive); err != nil {
		return err
	}
	command, err := c.spawn(nodeComponent, "testbed", []string{"internal-node", c.Dir}, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}, c.lock)
	if err != nil {
		return fmt.Errorf("%w; a node needs the right to make namespaces and mounts", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	if err := moveLink(command.Process.Pid); err != nil {
		return err
	}
	imported := false
	err = c.waitReady(ctx, nodeComponent, nodeTimeout, ended, func(ctx context.Context) error {
		if !imported {
			if err := c.importImage(ctx, archive); err != nil {
				return err
			}
			imported = true
		}
		for _, url := range []string{
			fmt.Sprintf("http://%s:%d/ready", nodeIP, dnsReadyPort),
			fmt.Sprintf("http://%s:%d/healthz", nodeIP, proxyHealthPort),
		} {
			if err := getOK(ctx, plainClient, url, ""); err != nil {
				return err
			}
		}
		return c.nodesReady(ctx, 1)
	})
	if err != nil {
		for _, service := range nodeServices {
			err = fmt.Errorf("%w\n%s", err, c.logTail(service))
		}
	}
	return err
}

// removeNodeTraces removes what a node makes outside of its namespaces: cgroups,
// mount points, and the link if no running node uses it.
func removeNodeTraces(dir string) error {
	if os.Geteuid() != 0 {
		return nil // a node needs root, so there was none
	}
	if err := removeCgroups(dir); err != nil {
		return err
	}
	made, err := os.ReadFile(filepath.Join(dir, "node", madeDirectories))
	if err == nil {
		paths := strings.Fields(string(made))
		slices.Reverse(paths)
		for _, path := range paths {
			_ = os.Remove(path) // only if it is empty: else somebody else uses it by now
		}
	}
	lock, err := lockNode("")
	if err != nil {
		return nil // another cluster's node is running, and the link is its
	}
	defer lock.Close()
	return removeLink()
}

// importImage imports an archive into the node's image store.
func (c *Cluster) importImage(ctx context.Context, archive string) error {
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, "ctr", "--address", c.containerdSocket(), "--namespace", "k8s.io",
		"images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot import %s: %w: %s", archive, err, strings.TrimSpace(string(output)))
	}
	return nil
}

func (c *Cluster) containerdSocket() string { return c.path("node", "containerd.sock") }

// killNodeService kills one service of the node; the node starts it again.
func (c *Cluster) killNodeService(name string) error {
	for _, process := range findProcesses(c.Dir) {
		// Not containerd's shims, which inherit its marker.
		if process.Component == name && process.Command == name {
			return signalProcess(c.Dir, process, syscall.SIGKILL)
		}
	}
	return fmt.Errorf("%s is not running", name)
}

const lockPath = "/run/flagsmith-operator-testbed.lock"

// lockNode takes the machine-wide lock of clusters with a node, whose addresses
// are fixed. It is held by the node's first process, so it ends with it.
func lockNode(dir string) (*os.File, error) {
	file, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", lockPath, err)
		}
		holder, _ := os.ReadFile(lockPath)
		return nil, fmt.Errorf("a cluster with a node is running already in %s, and a machine can have one; end it with `testbed down --dir %s`", holder, holder)
	}
	if dir != "" {
		if err := errors.Join(file.Truncate(0), os.WriteFile(lockPath, []byte(dir), 0o600)); err != nil {
			file.Close()
			return nil, err
		}
	}
	return file, nil
}
