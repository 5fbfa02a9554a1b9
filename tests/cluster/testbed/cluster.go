package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	levelControlPlane = "control-plane"
	levelNode         = "node"
)

// Addresses of a cluster with a node. They are fixed, so one such cluster can
// run at a time on a machine (see lockNode); none of them leaves the machine.
const (
	serviceRange = "10.96.0.0/16"
	podRange     = "10.244.0.0/24"
	dnsIP        = "10.96.0.10"
	hostIP       = "10.244.255.1" // this machine, as pods see it
	nodeIP       = "10.244.255.2"
	linkPrefix   = 30 // of the link that has hostIP and nodeIP at its ends
	loopback     = "127.0.0.1"
)

// Options are what the user chooses for one cluster.
type Options struct {
	Level string `json:"level"`
	Kwok  int    `json:"kwok"` // number of simulated nodes
	Audit bool   `json:"audit"`

	// APIServer is added to the API server's command line, words separated by spaces.
	APIServer string `json:"apiserver,omitempty"`
}

// Ports are TCP ports on the API server's address and on loopback.
type Ports struct {
	EtcdClient, EtcdPeer, APIServer, ControllerManager, Scheduler, Kwok int
}

// Cluster is one cluster: where it lives and everything that was decided for
// it at `up`. Its state file makes every later command reproducible.
type Cluster struct {
	Dir     string            `json:"-"`
	Options Options           `json:"options"`
	Ports   Ports             `json:"ports"`
	Tokens  map[string]string `json:"tokens"` // user → bearer token

	lock *os.File // of clusters with a node, between lockNode and startNode
}

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

func (c *Cluster) kubeconfig() string { return c.path("kubeconfig") }

// apiAddress is what the API server listens on: pods reach it through the link.
func (c *Cluster) apiAddress() string {
	if c.Options.Level == levelNode {
		return hostIP
	}
	return loopback
}

func (c *Cluster) server() string {
	return fmt.Sprintf("https://%s:%d", c.apiAddress(), c.Ports.APIServer)
}

func (c *Cluster) save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("state.json"), data, 0o600)
}

// load reads the cluster in dir.
func load(dir string) (*Cluster, error) {
	data, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no cluster in %s; start one with `testbed up --dir %s`", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{Dir: dir}
	if err := json.Unmarshal(data, cluster); err != nil {
		return nil, fmt.Errorf("%s/state.json: %w", dir, err)
	}
	return cluster, nil
}

// dirFlag adds --dir to flags; resolveDir makes its value absolute.
func dirFlag(flags *flag.FlagSet) *string {
	return flags.String("dir", "", "directory of the cluster")
}

func resolveDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("TESTBED_DIR")
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no directory for the cluster: %w; name one with --dir", err)
		}
		dir = filepath.Join(cache, "flagsmith-operator", "cluster")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	// Resolved, because mounts and processes are found by this path.
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	return dir, nil
}

// markerName is a file that tells that a directory is a cluster's: only in such
// a directory is anything ever removed.
const markerName = ".testbed"

// claimDir makes dir, or takes it if it is empty or a cluster's already.
func claimDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 && !claimed(dir) {
		return fmt.Errorf("%s holds other files, such as %s; name a directory with --dir that is empty or does not exist", dir, entries[0].Name())
	}
	return os.WriteFile(filepath.Join(dir, markerName), nil, 0o600)
}

func claimed(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, markerName))
	return err == nil
}

// optionFlags adds the flags of `up` and `run` to flags.
func optionFlags(flags *flag.FlagSet) *Options {
	options := &Options{}
	flags.StringVar(&options.Level, "level", levelControlPlane, "control-plane or node")
	flags.IntVar(&options.Kwok, "kwok", 0, "number of simulated nodes")
	flags.BoolVar(&options.Audit, "audit", false, "write an audit log")
	flags.StringVar(&options.APIServer, "apiserver", "", "further flags of the API server, separated by spaces")
	return options
}

func (o *Options) validate() error {
	if o.Level != levelControlPlane && o.Level != levelNode {
		return usageError{fmt.Sprintf("--level is %q; it is %q or %q", o.Level, levelControlPlane, levelNode)}
	}
	if o.Kwok < 0 {
		return usageError{fmt.Sprintf("--kwok is %d; it is the number of simulated nodes, 0 or more", o.Kwok)}
	}
	if o.Level == levelNode && o.Kwok > 0 {
		return usageError{"--kwok simulates nodes and needs --level control-plane; a pod of a test would land on either kind of node"}
	}
	if o.Level == levelNode && os.Geteuid() != 0 {
		return errors.New("--level node needs root: it runs containers. Run it as root, or use a cluster that you have: KUBECONFIG=/path/to/kubeconfig make demo")
	}
	return nil
}

// parse parses args, flags before and after positional arguments, and returns
// the latter.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	flags.Usage = func() {}
	flags.SetOutput(discard{})
	var positional []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, usageError{err.Error()}
		}
		if flags.NArg() == 0 {
			return positional, nil
		}
		positional, args = append(positional, flags.Arg(0)), flags.Args()[1:]
	}
}

// noArguments parses flags only.
func noArguments(flags *flag.FlagSet, args []string) error {
	positional, err := parse(flags, args)
	if err == nil && len(positional) > 0 {
		return usageError{fmt.Sprintf("%q is one argument too many", positional[0])}
	}
	return err
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
