package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the inside of the node: its first process.

// restartDelay is as systemd's units of these services have it.
const restartDelay = time.Second

// lockFD is where spawn puts the first extra file, the machine-wide lock: it is
// held by this process alone, and with that as long as the node exists.
const lockFD = 3

// madeDirectories lists the mount points that did not exist before, in DIR/node.
const madeDirectories = "made-directories"

// privateDirectories are paths that containerd, runc, CNI plug-ins and the
// kubelet have built in. Each is covered, for the node only, by a directory below
// DIR/node/private.
var privateDirectories = []string{
	"/run/containerd", "/run/netns", "/run/runc",
	"/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers",
}

// kernelSettings are what the kubelet insists on. It sees them set, and the
// machine's own stay as they are.
var kernelSettings = map[string]string{
	"/proc/sys/vm/overcommit_memory":      "1",
	"/proc/sys/vm/panic_on_oom":           "0",
	"/proc/sys/kernel/panic":              "10",
	"/proc/sys/kernel/panic_on_oops":      "1",
	"/proc/sys/kernel/keys/root_maxkeys":  "1000000",
	"/proc/sys/kernel/keys/root_maxbytes": "25000000",
}

// cmdNode is the first process of the node: it prepares the namespaces, starts
// the services, restarts those that end, and reaps what they leave.
func cmdNode(args []string) error {
	if len(args) != 1 || os.Getpid() != 1 {
		return usageError{"internal-node is started by `testbed up`"}
	}
	unix.CloseOnExec(lockFD)
	cluster, err := load(args[0])
	if err != nil {
		return err
	}
	if err := cluster.prepareMounts(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(nodeName)); err != nil {
		return err
	}
	if err := makeCgroups(cluster.Dir); err != nil {
		return err
	}
	if err := configureNodeNetwork(); err != nil {
		return err
	}
	running := map[int]string{}
	for _, name := range nodeServices {
		if err := cluster.startService(running, name); err != nil {
			return err
		}
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		name, known := running[pid]
		if !known {
			continue // an orphan: a shim, or what was in a container
		}
		delete(running, pid)
		fmt.Fprintf(os.Stderr, "%s %s ended: exit status %d, signal %v\n", time.Now().Format(time.RFC3339), name, status.ExitStatus(), status.Signal())
		time.Sleep(restartDelay)
		if err := cluster.startService(running, name); err != nil {
			return err
		}
	}
}

// startService starts one of nodeServices. It does not use os/exec, whose
// waiting would compete with the loop above.
func (c *Cluster) startService(running map[int]string, name string) error {
	path, args, err := c.nodeService(name)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.logPath(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	environment := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	environment = append(environment, envCluster+"="+c.Dir, envComponent+"="+name)
	pid, err := syscall.ForkExec(path, append([]string{name}, args...), &syscall.ProcAttr{
		Dir: "/", Env: environment, Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	running[pid] = name
	return nil
}

// prepareMounts makes the node's mounts invisible outside and its built-in
// paths private.
func (c *Cluster) prepareMounts() error {
	// Private first, so that nothing reaches the machine; then shared among the
	// node's own services, as mount propagation into containers needs it.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			return fmt.Errorf("cannot make mounts private: %w", err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	for path, value := range kernelSettings {
		if current, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(current)) == value {
			continue // this kernel has no such setting, or has it right
		}
		shadow := c.path("node", "kernel"+strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(shadow, []byte(value+"\n"), 0o600); err != nil {
			return err
		}
		if err := unix.Mount(shadow, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot cover %s: %w", path, err)
		}
	}
	var made []string
	for _, path := range privateDirectories {
		created, err := makeDirectories(path)
		made = append(made, created...)
		if err != nil {
			return err
		}
		source := c.path("node", "private", path)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(c.path("node", madeDirectories), []byte(strings.Join(made, "\n")), 0o600); err != nil {
			return err
		}
		if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot cover %s: %w", path, err)
		}
	}
	return nil
}

// makeDirectories is os.MkdirAll that tells which directories it made.
func makeDirectories(path string) (made []string, err error) {
	if _, err := os.Stat(path); err == nil {
		return nil, nil
	}
	made, err = makeDirectories(filepath.Dir(path))
	if err != nil {
		return made, err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return made, err
	}
	return append(made, path), nil
}
