// kube is every Kubernetes component that a test cluster needs, in one binary:
// its first argument (or the name it was started under) selects the component.
// One link instead of seven keeps a cold build at minutes. With the build tag
// control_plane it is what differs between releases for a client: API server,
// controllers and scheduler.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// commands maps each component's name to what runs it. The constructors are
// called only for the component that was asked for: several of them register
// global flags and metrics. The rest is added where it is built too.
var commands = map[string]func() int{
	"kube-apiserver":          run(apiserver.NewAPIServerCommand),
	"kube-controller-manager": run(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          run(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
}

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args
	if _, known := commands[name]; !known && len(os.Args) > 1 {
		name, args = os.Args[1], os.Args[1:]
	}
	command, known := commands[name]
	if !known {
		fmt.Fprintln(os.Stderr, "usage: kube COMPONENT [FLAG...], or a link named like the component; COMPONENT is one of:")
		for known := range commands {
			fmt.Fprintln(os.Stderr, "  "+known)
		}
		os.Exit(2)
	}
	// Cobra and kubectl's plug-in lookup read os.Args themselves.
	os.Args = append([]string{name}, args[1:]...)
	os.Exit(command())
}

func run(newCommand func() *cobra.Command) func() int {
	return func() int { return cli.Run(newCommand()) }
}
