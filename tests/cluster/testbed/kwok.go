package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"time"
)

// kwokStages is how simulated nodes treat nodes and pods.
//
//go:embed kwok.yaml
var kwokStages []byte

// kwokAnnotation marks the nodes that kwok simulates.
const kwokAnnotation = "kwok.x-k8s.io/node"

// kwokPodRange is only printed in pod statuses: nothing answers there.
const kwokPodRange = "10.245.0.0/16"

// kwokNodesTimeout: each node becomes ready by two writes, hundreds take seconds.
const kwokNodesTimeout = 120 * time.Second

// kwokLeaseSeconds is the kubelet's default. Without a renewed lease the controller manager takes a node for
// dead after 50 s and marks its pods as not ready.
const kwokLeaseSeconds = 40

const kwokName = "kwok"

func (c *Cluster) kwokComponent() Component {
	address := fmt.Sprintf("%s:%d", loopback, c.Ports.Kwok)
	return Component{
		Name: kwokName, Binary: "kwok",
		Args: []string{
			"--kubeconfig=" + c.kubeconfig(), "--config=" + c.path("kwok.yaml"),
			"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=" + kwokAnnotation + "=fake",
			"--cidr=" + kwokPodRange, "--node-ip=" + loopback,
			"--server-address=" + address,
			fmt.Sprintf("--node-lease-duration-seconds=%d", kwokLeaseSeconds),
		},
		Ready: func(ctx context.Context) error { return getOK(ctx, plainClient, "http://"+address+"/healthz", "") },
	}
}

func (c *Cluster) writeKwokConfig() error {
	return os.WriteFile(c.path("kwok.yaml"), kwokStages, 0o600)
}

// makeKwokNodes creates the simulated nodes and waits until all are ready.
func (c *Cluster) makeKwokNodes(ctx context.Context) error {
	manifest := &strings.Builder{}
	for i := range c.Options.Kwok {
		name := fmt.Sprintf("simulated-%d", i)
		fmt.Fprintf(manifest, `---
apiVersion: v1
kind: Node
metadata:
  name: %s
  annotations: {%s: fake, node.alpha.kubernetes.io/ttl: "0"}
  labels: {kubernetes.io/hostname: %s, kubernetes.io/os: linux, kubernetes.io/arch: amd64, type: kwok}
spec: {}
`, name, kwokAnnotation, name)
	}
	if _, err := c.kubectl(ctx, manifest.String(), "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	return c.waitReady(ctx, kwokName, kwokNodesTimeout, nil, func(ctx context.Context) error {
		return c.nodesReady(ctx, c.Options.Kwok)
	})
}

// nodesReady is nil when all of count nodes are ready and pods may land on them.
func (c *Cluster) nodesReady(ctx context.Context, count int) error {
	var nodes struct {
		Items []struct {
			Spec struct {
				Taints []struct{ Key string }
			}
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
	}
	if err := c.get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return err
	}
	ready, message := 0, ""
	for _, node := range nodes.Items {
		for _, condition := range node.Status.Conditions {
			switch {
			case condition.Type != "Ready":
			case condition.Status == "True" && len(node.Spec.Taints) == 0:
				ready++
			default:
				message = ": " + condition.Message
			}
		}
	}
	if ready < count {
		return fmt.Errorf("%d of %d nodes are ready%s", ready, count, message)
	}
	return nil
}
