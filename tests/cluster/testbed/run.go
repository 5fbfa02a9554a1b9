package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const guardComponent = "guard"

// childGrace is how long the command of `run` may take to clean up after a
// forwarded signal before it is killed: test runners that stop subprocesses of
// their own need some seconds.
const childGrace = 30 * time.Second

// cmdRun brings a cluster up, runs a command with it, and takes it down again
// whatever happens.
func cmdRun(args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	options := optionFlags(flags)
	keep := flags.Bool("keep", false, "leave the cluster running")
	flags.Usage = func() {}
	flags.SetOutput(discard{})
	if err := flags.Parse(args); err != nil {
		return usageError{err.Error()}
	}
	if flags.NArg() == 0 {
		return usageError{"run needs a command: testbed run -- COMMAND [ARG...]"}
	}
	if err := options.validate(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	dir, err := os.MkdirTemp("", "testbed-")
	if err != nil {
		return err
	}
	if dir, err = resolveDir(dir); err != nil {
		return err
	}
	if err := claimDir(dir); err != nil {
		return err
	}
	if !*keep {
		release, err := startGuard(dir)
		if err != nil {
			return err
		}
		defer release()
	}
	err = runIn(dir, *options, flags.Args(), signals)
	if *keep {
		fmt.Fprintf(os.Stderr, "testbed: kept; KUBECONFIG=%s/kubeconfig; end it with `testbed down --dir %s`\n", dir, dir)
		return err
	}
	if cleanup := errors.Join(down(dir, true), os.RemoveAll(dir)); cleanup != nil {
		fmt.Fprintf(os.Stderr, "testbed: cleaning up %s failed: %v\n", dir, cleanup)
		if err == nil {
			return exitError{1}
		}
	}
	return err
}

// runIn brings the cluster up, unless a signal comes first, and runs the command.
func runIn(dir string, options Options, command []string, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	type result struct {
		cluster *Cluster
		err     error
	}
	started := make(chan result, 1)
	go func() {
		cluster, err := up(ctx, dir, options)
		started <- result{cluster, err}
	}()
	var first os.Signal
	var outcome result
	select {
	case outcome = <-started:
	case first = <-signals:
		cancel()
		outcome = <-started
	}
	if first != nil {
		return exitError{signalStatus(first)}
	}
	if outcome.err != nil {
		return outcome.err
	}
	return runCommand(outcome.cluster, command, signals)
}

// signalStatus is the exit status that a shell reports for an end by a signal.
func signalStatus(s os.Signal) int {
	if number, isNumber := s.(syscall.Signal); isNumber {
		return 128 + int(number)
	}
	return 1
}

// runCommand runs the user's command and returns its status as an exitError.
// Signals are forwarded to its process group, and it is killed after childGrace.
func runCommand(cluster *Cluster, args []string, signals <-chan os.Signal) error {
	command := exec.Command(args[0], args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command.Env = append(os.Environ(),
		"KUBECONFIG="+cluster.kubeconfig(), "TESTBED_DIR="+cluster.Dir,
		"PATH="+filepath.Dir(self)+":"+os.Getenv("PATH"))
	// A group of its own: what it started is reached by a forwarded signal too.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: isTerminal(os.Stdin), Ctty: int(os.Stdin.Fd())}
	if err := command.Start(); err != nil {
		return fmt.Errorf("cannot run %s: %w", args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	// A command that the user suspended or that lost its terminal is not waited for any longer than this.
	var killAt <-chan time.Time
	var first os.Signal
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			switch {
			case first != nil:
				return exitError{signalStatus(first)}
			case err == nil:
				return nil
			case errors.As(err, &exit) && exit.Exited():
				return exitError{exit.ExitCode()}
			case errors.As(err, &exit):
				return exitError{signalStatus(exit.Sys().(syscall.WaitStatus).Signal())}
			}
			return err
		case received := <-signals:
			if first == nil {
				first, killAt = received, time.After(childGrace)
			}
			number, _ := received.(syscall.Signal)
			_ = syscall.Kill(-command.Process.Pid, number) // it may have ended meanwhile
		case <-killAt:
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		}
	}
}

// guardGrace is for the guard to see that there is nothing to do.
const guardGrace = 5 * time.Second

// startGuard starts a process that takes the cluster down when this process
// ends in any way, also by SIGKILL: it waits for the end of file on a pipe. The
// returned function lets it go after a regular clean-up.
func startGuard(dir string) (release func(), err error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	guard := exec.Command(self, "internal-guard", dir)
	guard.Stdin = reader
	guard.Env = append(os.Environ(), envCluster+"="+dir, envComponent+"="+guardComponent)
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := guard.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- guard.Wait() }()
	return func() {
		writer.Close()
		select {
		case <-ended:
		case <-time.After(guardGrace):
		}
	}, nil
}

// cmdGuard is the process that startGuard starts.
func cmdGuard(args []string) error {
	if len(args) != 1 {
		return usageError{"internal-guard needs a directory"}
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	buffer := make([]byte, 1)
	_, _ = os.Stdin.Read(buffer) // nothing is ever written: this is the end of `run`
	if _, err := os.Stat(args[0]); errors.Is(err, os.ErrNotExist) {
		return nil // `run` has cleaned up itself
	}
	return errors.Join(down(args[0], true), os.RemoveAll(args[0]))
}
