package main

import (
	"context"
	"errors"
)

const nodeComponent = "node"

var nodeServices = []string{"containerd", "kubelet", "kube-proxy", "coredns"}

func cmdLoadImage(context.Context, []string) error { return errors.New("not yet") }
func cmdNode([]string) error                       { return errors.New("not yet") }
func cmdPause() error                              { return errors.New("not yet") }
func removeNodeTraces(string) error                { return nil }
func (c *Cluster) startNode(context.Context) error { return errors.New("not yet") }
func (c *Cluster) waitNode(context.Context) error  { return errors.New("not yet") }
func (c *Cluster) killNodeService(string) error    { return errors.New("not yet") }
