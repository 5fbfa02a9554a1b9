package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	etcdName      = "etcd"
	apiserverName = "kube-apiserver"
)

// Component is one process of a cluster outside the node.
type Component struct {
	Name   string // also the name of its log and of its marker
	Binary string // next to the launcher
	Args   []string
	Ready  func(context.Context) error // one look; nil when ready
}

// components lists the processes of a cluster in the order of their start.
func (c *Cluster) components() []Component {
	etcdURL := fmt.Sprintf("http://%s:%d", loopback, c.Ports.EtcdClient)
	list := []Component{
		{
			Name: etcdName, Binary: etcdName,
			Args: []string{
				"--data-dir=" + c.path("etcd"), "--listen-client-url=" + etcdURL,
				fmt.Sprintf("--listen-peer-url=http://%s:%d", loopback, c.Ports.EtcdPeer),
			},
			Ready: func(ctx context.Context) error { return getOK(ctx, plainClient, etcdURL+"/health", "") },
		},
		{
			Name: apiserverName, Binary: apiserverName, Args: c.apiserverArgs(etcdURL),
			Ready: func(ctx context.Context) error { return c.get(ctx, "/readyz", nil) },
		},
		{
			Name: "kube-controller-manager", Binary: "kube-controller-manager",
			Args: []string{
				"--kubeconfig=" + c.userKubeconfig("system:kube-controller-manager"),
				"--use-service-account-credentials=true",
				"--service-account-private-key-file=" + c.path("pki", "sa.key"),
				"--root-ca-file=" + c.caFile(),
				"--leader-elect=false",
				// A busy machine delays heartbeats; a node that counts as lost takes every pod's readiness with it.
				"--node-monitor-grace-period=10m",
				"--bind-address=" + loopback, port("--secure-port", c.Ports.ControllerManager),
			},
			Ready: func(ctx context.Context) error {
				return getOK(ctx, insecureClient, fmt.Sprintf("https://%s:%d/healthz", loopback, c.Ports.ControllerManager), "")
			},
		},
		{
			Name: "kube-scheduler", Binary: "kube-scheduler",
			Args: []string{
				"--kubeconfig=" + c.userKubeconfig("system:kube-scheduler"),
				"--leader-elect=false",
				"--bind-address=" + loopback, port("--secure-port", c.Ports.Scheduler),
			},
			// It has /readyz from 1.31 on.
			Ready: func(ctx context.Context) error {
				return getOK(ctx, insecureClient, fmt.Sprintf("https://%s:%d/healthz", loopback, c.Ports.Scheduler), "")
			},
		},
	}
	if c.Options.Kwok > 0 {
		list = append(list, c.kwokComponent())
	}
	if c.Options.Kwok > 0 || c.Options.Level == levelNode {
		list = append(list, Component{
			Name: "provisioner", Binary: "testbed",
			Args:  []string{"internal-provision", "--dir", c.Dir},
			Ready: func(context.Context) error { return nil }, // volumes bind later as well
		})
	}
	return list
}

func (c *Cluster) apiserverArgs(etcdURL string) []string {
	args := []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=" + c.apiAddress(), port("--secure-port", c.Ports.APIServer),
		"--cert-dir=" + c.path("pki"), // it makes its certificate there, once
		"--token-auth-file=" + c.path("pki", "tokens.csv"),
		"--authorization-mode=Node,RBAC",
		// The second one is what OpenShift adds: an owner reference that blocks deletion needs rights on its owner.
		"--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.path("pki", "sa.pub"),
		"--service-account-signing-key-file=" + c.path("pki", "sa.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--allow-privileged=true",
		"--kubelet-preferred-address-types=InternalIP",
	}
	if c.Options.Level == levelControlPlane {
		// The endpoints of the Service `kubernetes` may not be a loopback address.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	if c.Options.Audit {
		args = append(args,
			"--audit-policy-file="+c.path("audit-policy.yaml"),
			"--audit-log-path="+c.path("audit.log"),
			"--audit-log-maxsize="+strconv.Itoa(auditLogMegabytes))
	}
	return append(args, strings.Fields(c.Options.APIServer)...)
}

// auditLogMegabytes is far beyond any run: a rotated log would lose requests that are counted.
const auditLogMegabytes = 16384

// auditPolicy records each request once, when it is complete (a watch: when it ends).
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func port(name string, number int) string { return fmt.Sprintf("%s=%d", name, number) }

// Ports are taken below Linux' ephemeral range (from 32768): an outgoing
// connection never sits on the port of an API server that a test has stopped.
const (
	firstPort = 12000
	lastPort  = 32000
	portTries = 200
)

// choosePorts picks ports that are free now.
func choosePorts(address string) (Ports, error) {
	var chosen [6]int
	taken := map[int]bool{}
	for i := range chosen {
		for range portTries {
			candidate := firstPort + randomBelow(lastPort-firstPort)
			if !taken[candidate] && portFree(loopback, candidate) && portFree(address, candidate) {
				chosen[i], taken[candidate] = candidate, true
				break
			}
		}
		if chosen[i] == 0 {
			return Ports{}, fmt.Errorf("no free TCP port on %s in %d tries between %d and %d", address, portTries, firstPort, lastPort)
		}
	}
	return Ports{chosen[0], chosen[1], chosen[2], chosen[3], chosen[4], chosen[5]}, nil
}

func portFree(address string, number int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(number)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// spawn starts a program in the background, in a session of its own so that a
// Ctrl-C in the terminal does not reach it, with its output in logs/.
func (c *Cluster) spawn(name, program string, args []string, attributes *syscall.SysProcAttr, extra ...*os.File) (*exec.Cmd, error) {
	path, err := binary(program)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.logPath(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(path, args...)
	command.Dir = c.Dir
	command.ExtraFiles = extra
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), envCluster+"="+c.Dir, envComponent+"="+name)
	attributes.Setsid = true
	command.SysProcAttr = attributes
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return command, nil
}

func (c *Cluster) logPath(name string) string { return c.path("logs", name+".log") }

// startAndWait starts a component and waits until it is ready; an early exit or
// a passed deadline is an error with the end of its log.
func (c *Cluster) startAndWait(ctx context.Context, component Component) error {
	command, err := c.spawn(component.Name, component.Binary, component.Args, &syscall.SysProcAttr{})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	return c.waitReady(ctx, component.Name, componentTimeout, ended, component.Ready)
}

// componentTimeout: each is ready within seconds on two idle cores; a machine
// that builds on all its cores at the same time needs up to a minute.
const componentTimeout = 120 * time.Second
