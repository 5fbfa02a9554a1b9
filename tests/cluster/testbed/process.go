package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Every process of a cluster carries these two variables; children inherit
// them. They are how processes are found again, in place of pid files: right
// even when the launcher was killed between a fork and a write, and a reused
// pid can never be taken for ours.
const (
	envCluster   = "TESTBED_PROCESS_OF"        // the cluster's directory
	envComponent = "TESTBED_PROCESS_COMPONENT" // the component's name
)

const (
	// termGrace is for an orderly exit: etcd and the API server need under a second.
	termGrace = 8 * time.Second
	// killGrace is for the kernel to remove killed processes; a process in
	// uninterruptible I/O on a loaded machine takes seconds.
	killGrace = 20 * time.Second
	// pollInterval is the pause between looks at processes and health endpoints.
	pollInterval = 50 * time.Millisecond
)

// Process is a running process of a cluster.
type Process struct {
	PID       int
	Component string
	Command   string // the program's name: children inherit the component's marker
	started   uint64 // clock ticks after boot, field 22 of /proc/PID/stat
}

// findProcesses lists the processes of the cluster in dir, oldest first.
func findProcesses(dir string) []Process {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	var found []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if component, ours := componentOf(pid, dir); ours {
			if started, alive := startTime(pid); alive {
				name, _ := os.ReadFile(entry + "/comm")
				found = append(found, Process{pid, component, strings.TrimSpace(string(name)), started})
			}
		}
	}
	slices.SortFunc(found, func(a, b Process) int {
		if a.started != b.started {
			return int(int64(a.started) - int64(b.started))
		}
		return a.PID - b.PID
	})
	return found
}

// componentOf reads which component of the cluster in dir a process is.
func componentOf(pid int, dir string) (component string, ours bool) {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "", false // ended, or somebody else's
	}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, _ := strings.Cut(string(variable), "=")
		switch name {
		case envCluster:
			if value != dir {
				return "", false
			}
			ours = true
		case envComponent:
			component = value
		}
	}
	return component, ours
}

// startTime is when a process started; alive is false for a zombie too.
func startTime(pid int) (ticks uint64, alive bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The command name, field 2, is in parentheses and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	ticks, err = strconv.ParseUint(fields[19], 10, 64)
	return ticks, err == nil
}

// signalProcess sends a signal only if the pid still is this process: the pidfd
// pins it before it is looked at.
func signalProcess(dir string, process Process, signal syscall.Signal) error {
	fd, err := unix.PidfdOpen(process.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pid %d: %w", process.PID, err)
	}
	defer unix.Close(fd)
	if _, ours := componentOf(process.PID, dir); !ours {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("pid %d (%s): %w", process.PID, process.Component, err)
	}
	return nil
}

// stopWhere ends all processes of the cluster that match: SIGTERM, then SIGKILL
// after grace. With a grace of zero it kills at once.
func stopWhere(dir string, grace time.Duration, match func(Process) bool) error {
	matching := func() []Process {
		return slices.DeleteFunc(findProcesses(dir), func(p Process) bool { return !match(p) })
	}
	signal := syscall.SIGTERM
	if grace == 0 {
		signal = syscall.SIGKILL
	}
	for _, process := range matching() {
		if err := signalProcess(dir, process, signal); err != nil {
			return err
		}
	}
	killAt, giveUpAt := time.Now().Add(grace), time.Now().Add(grace+killGrace)
	for {
		left := matching()
		if len(left) == 0 {
			return nil
		}
		now := time.Now()
		if now.After(giveUpAt) {
			return fmt.Errorf("pid %d (%s) does not end, %s after SIGKILL", left[0].PID, left[0].Component, killGrace)
		}
		if now.After(killAt) {
			// Again on every round: a killed parent may have forked meanwhile.
			for _, process := range left {
				if err := signalProcess(dir, process, syscall.SIGKILL); err != nil {
					return err
				}
			}
		}
		time.Sleep(pollInterval)
	}
}
