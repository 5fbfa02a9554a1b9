package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// cmdControl stops, starts or kills one component of a running cluster.
func cmdControl(ctx context.Context, verb string, args []string) error {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	dirValue := dirFlag(flags)
	names, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return usageError{verb + " needs one component"}
	}
	dir, err := resolveDir(*dirValue)
	if err != nil {
		return err
	}
	cluster, err := load(dir)
	if err != nil {
		return err
	}
	name := names[0]
	list := cluster.components()
	index := slices.IndexFunc(list, func(c Component) bool { return c.Name == name })
	if index < 0 {
		return cluster.controlNode(verb, name, list)
	}
	running := func(p Process) bool { return p.Component == name }
	switch verb {
	case "stop":
		return stopWhere(dir, termGrace, running)
	case "kill":
		return stopWhere(dir, 0, running)
	}
	if slices.ContainsFunc(findProcesses(dir), running) {
		return nil
	}
	return cluster.startAndWait(ctx, list[index])
}

// controlNode is for the node's components, which the node starts again by itself.
func (c *Cluster) controlNode(verb, name string, list []Component) error {
	var known []string
	for _, component := range list {
		known = append(known, component.Name)
	}
	if c.Options.Level == levelNode {
		if slices.Contains(nodeServices, name) {
			if verb != "kill" {
				return usageError{fmt.Sprintf("%s runs inside the node, which restarts it; `testbed kill %s` is possible, %s is not", name, name, verb)}
			}
			return c.killNodeService(name)
		}
		known = append(known, nodeServices...)
	}
	return usageError{fmt.Sprintf("%q is no component of this cluster; it has %s", name, strings.Join(known, ", "))}
}
