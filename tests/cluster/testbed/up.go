package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func cmdUp(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	dirValue := dirFlag(flags)
	options := optionFlags(flags)
	if err := noArguments(flags, args); err != nil {
		return err
	}
	if err := options.validate(); err != nil {
		return err
	}
	dir, err := resolveDir(*dirValue)
	if err != nil {
		return err
	}
	if processes := findProcesses(dir); len(processes) > 0 {
		return fmt.Errorf("a cluster is running in %s already (pid %d is its %s); end it with `testbed down --dir %s`",
			dir, processes[0].PID, processes[0].Component, dir)
	}
	cluster, err := up(ctx, dir, *options)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", cluster.kubeconfig())
	return nil
}

// up starts a cluster in dir, which must hold no running one, and waits until
// it is ready. If that fails nothing is left running; the logs stay.
func up(ctx context.Context, dir string, options Options) (*Cluster, error) {
	begun := time.Now()
	if err := claimDir(dir); err != nil {
		return nil, err
	}
	// Again after it exists: only now can symbolic links in it be resolved.
	dir, err := resolveDir(dir)
	if err != nil {
		return nil, err
	}
	// What a crashed cluster left behind is removed with its data.
	if err := down(dir, true); err != nil {
		return nil, err
	}
	cluster := &Cluster{Dir: dir, Options: options}
	if err := cluster.start(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if cleanup := down(dir, false); cleanup != nil {
			err = fmt.Errorf("%w\nand cleaning up failed: %w", err, cleanup)
		}
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "testbed: %s is ready after %.1f s in %s\n", cluster.description(), time.Since(begun).Seconds(), dir)
	return cluster, nil
}

func (c *Cluster) description() string {
	switch {
	case c.Options.Level == levelNode:
		return "a cluster with one node"
	case c.Options.Kwok > 0:
		return fmt.Sprintf("a control plane with %d simulated nodes", c.Options.Kwok)
	}
	return "a control plane"
}

func (c *Cluster) start(ctx context.Context) error {
	for _, name := range []string{"logs", "etcd"} {
		if err := os.MkdirAll(c.path(name), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.path("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	if err := c.makeCredentials(); err != nil {
		return err
	}
	var err error
	if c.Options.Level == levelNode {
		if c.lock, err = lockNode(c.Dir); err != nil {
			return err
		}
		// The node holds it too when it is started, and alone afterwards. It must be
		// free when a failed start is cleaned up.
		defer c.lock.Close()
		// The link comes first: the API server listens on it.
		if err := makeLink(); err != nil {
			return err
		}
	}
	if c.Ports, err = choosePorts(c.apiAddress()); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	if err := c.writeKubeconfigs(); err != nil {
		return err
	}
	if c.Options.Kwok > 0 {
		if err := c.writeKwokConfig(); err != nil {
			return err
		}
	}
	if err := c.startComponents(ctx); err != nil {
		return err
	}
	if err := c.waitReady(ctx, "kube-controller-manager", componentTimeout, nil, func(ctx context.Context) error {
		// Without it no pod is admitted to the namespace.
		return c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
	}); err != nil {
		return err
	}
	if c.Options.Kwok > 0 {
		if err := c.makeKwokNodes(ctx); err != nil {
			return err
		}
	}
	if c.Options.Kwok > 0 || c.Options.Level == levelNode {
		if _, err := c.kubectl(ctx, storageClass, "apply", "-f", "-"); err != nil {
			return err
		}
	}
	if c.Options.Level == levelNode {
		return c.startNode(ctx)
	}
	return nil
}

// startComponents starts etcd, then the API server, then the rest at once.
func (c *Cluster) startComponents(ctx context.Context) error {
	list := c.components()
	for _, component := range list[:2] {
		if err := c.startAndWait(ctx, component); err != nil {
			return err
		}
	}
	rest := list[2:]
	results := make(chan error, len(rest))
	for _, component := range rest {
		go func() { results <- c.startAndWait(ctx, component) }()
	}
	var problems error
	for range rest {
		problems = errors.Join(problems, <-results)
	}
	return problems
}

func cmdStatus(args []string) error {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	dirValue := dirFlag(flags)
	if err := noArguments(flags, args); err != nil {
		return err
	}
	dir, err := resolveDir(*dirValue)
	if err != nil {
		return err
	}
	cluster, err := load(dir)
	if err != nil {
		return err
	}
	processes := findProcesses(dir)
	fmt.Printf("%s in %s, %d processes\n", cluster.description(), dir, len(processes))
	for _, process := range processes {
		fmt.Printf("%8d %s (%s)\n", process.PID, process.Component, process.Command)
	}
	if len(processes) == 0 {
		return fmt.Errorf("the cluster in %s is not running", dir)
	}
	return nil
}
