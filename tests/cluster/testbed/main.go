// testbed starts and stops real Kubernetes clusters on this machine for tests:
// a control plane alone, or with one real node or with simulated nodes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `testbed runs a real Kubernetes cluster on this machine, for tests.

  testbed up   [--dir DIR] [--level control-plane|node] [--kwok N] [--audit] [--apiserver FLAGS]
  testbed down [--dir DIR]
  testbed run  [--level control-plane|node] [--kwok N] [--audit] [--apiserver FLAGS] [--keep] -- COMMAND [ARG...]
  testbed status     [--dir DIR]
  testbed load-image [--dir DIR] ARCHIVE...
  testbed kubeconfig [--dir DIR] (--service-account NAMESPACE/NAME | --user NAME [--group GROUP]...)
  testbed stop  COMPONENT [--dir DIR]    stop it (SIGTERM) until it is started again
  testbed start COMPONENT [--dir DIR]
  testbed kill  COMPONENT [--dir DIR]    kill it (SIGKILL); the node's components come back by themselves
  testbed stop-apiserver | start-apiserver [--dir DIR]

DIR holds everything of one cluster (kubeconfig, logs/, audit.log, data); by default
$TESTBED_DIR, else ${XDG_CACHE_HOME:-~/.cache}/flagsmith-operator/cluster.
`

// exitUsage is the status for a wrong command line, as in sh and GNU tools.
const exitUsage = 2

// exitError carries the exit status of a command that `run` ran.
type exitError struct{ status int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// usageError is a wrong command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func main() {
	err := dispatch(os.Args[1:])
	var exit exitError
	var wrong usageError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(exit.status)
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "testbed: %v\n\n%s", err, usage)
		os.Exit(exitUsage)
	default:
		fmt.Fprintf(os.Stderr, "testbed: %v\n", err)
		os.Exit(1)
	}
}

func dispatch(args []string) error {
	if len(args) == 0 {
		return usageError{"a command is missing"}
	}
	command, rest := args[0], args[1:]
	// `run` handles signals itself: its command gets them first.
	if command == "run" {
		return cmdRun(rest)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	switch command {
	case "up":
		return cmdUp(ctx, rest)
	case "down":
		return cmdDown(rest)
	case "status":
		return cmdStatus(rest)
	case "load-image":
		return cmdLoadImage(ctx, rest)
	case "kubeconfig":
		return cmdKubeconfig(ctx, rest)
	case "stop", "start", "kill":
		return cmdControl(ctx, command, rest)
	case "stop-apiserver":
		return cmdControl(ctx, "stop", append([]string{apiserverName}, rest...))
	case "start-apiserver":
		return cmdControl(ctx, "start", append([]string{apiserverName}, rest...))
	case "internal-guard":
		return cmdGuard(rest)
	case "internal-node":
		return cmdNode(rest)
	case "internal-provision":
		return cmdProvision(ctx, rest)
	case "internal-pause":
		return cmdPause()
	case "internal-probe":
		return cmdProbe(ctx, rest)
	case "help", "--help", "-h":
		fmt.Print(usage)
		return nil
	}
	return usageError{fmt.Sprintf("%q is not a command", command)}
}
