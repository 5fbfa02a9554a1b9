package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// nodeServices in the order of their start.
var nodeServices = []string{"containerd", "coredns", "kubelet", "kube-proxy"}

const (
	dnsReadyPort    = 8181
	proxyHealthPort = 10256
)

// nodeService is the program and the arguments of one of nodeServices.
func (c *Cluster) nodeService(name string) (path string, args []string, err error) {
	config := c.nodeConfigPath(name)
	switch name {
	case "containerd":
		path, err = exec.LookPath(name)
		return path, []string{"--config", config}, err
	case "coredns":
		args = []string{"-conf", config}
	case "kubelet":
		args = []string{
			"--config=" + config, "--kubeconfig=" + c.userKubeconfig("system:node:"+nodeName),
			"--hostname-override=" + nodeName, "--node-ip=" + nodeIP,
		}
	case "kube-proxy":
		args = []string{"--config=" + config}
	}
	path, err = binary(name)
	return path, args, err
}

func (c *Cluster) nodeConfigPath(name string) string { return c.path("node", name+".conf") }

// maxSocketPath is the kernel's limit for the path of a Unix socket.
const maxSocketPath = 107

func (c *Cluster) writeNodeConfigs() error {
	if length := len(c.containerdSocket()); length > maxSocketPath {
		return fmt.Errorf("the path %s is %d bytes long and a socket's may have %d; choose a shorter --dir", c.containerdSocket(), length, maxSocketPath)
	}
	cni := ""
	for _, candidate := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(candidate, "ptp")); err == nil {
			cni = candidate
			break
		}
	}
	if cni == "" {
		return fmt.Errorf("the CNI plug-ins are missing; run tests/cluster/install node")
	}
	snapshotter, err := snapshotterFor(c.Dir)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		c.nodeConfigPath("containerd"):            c.containerdConfig(cni, snapshotter),
		c.path("node", "cni", "10-pods.conflist"): cniConfig,
		c.nodeConfigPath("kubelet"):               c.kubeletConfig(),
		c.nodeConfigPath("kube-proxy"):            c.kubeProxyConfig(),
		c.nodeConfigPath("coredns"):               c.corefile(),
		c.path("node", "resolv.conf"):             "", // no search domain of this machine in pods
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(strings.TrimLeft(content, "\n")), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// snapshotterFor: overlayfs cannot lie on another overlayfs, as in a container.
func snapshotterFor(dir string) (string, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return "", err
	}
	if stat.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}

// containerdConfig: restrict_oom_score_adj because a sandbox without
// CAP_SYS_RESOURCE may not lower it; no AppArmor, because its profile would stay
// loaded in the machine's kernel.
func (c *Cluster) containerdConfig(cni, snapshotter string) string {
	return fmt.Sprintf(`
version = 2
root = %q
state = "/run/containerd/testbed"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %q
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`, c.path("node", "containerd"), c.containerdSocket(), pauseImage, cni, c.path("node", "cni"), snapshotter)
}

// cniConfig routes each pod on its own (ptp), so that traffic between pods of
// one node passes kube-proxy's rules without the bridge module.
const cniConfig = `{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {"type": "ptp", "ipam": {"type": "host-local", "subnet": "` + podRange + `", "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// kubeletConfig: no garbage collection of images, which nothing could pull
// again, and no eviction: a full disk of the machine is not the test's matter.
// No cgroup per pod or QoS class: they need controllers that a sandbox may lack;
// containers have their own limits all the same.
func (c *Cluster) kubeletConfig() string {
	return fmt.Sprintf(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: %s
cgroupsPerQOS: false
clusterDNS: [%s]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://%s
enforceNodeAllocatable: []
evictionHard: {memory.available: 1Mi, nodefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.available: 0%%, imagefs.inodesFree: 0%%}
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
resolvConf: %s
serverTLSBootstrap: false
volumePluginDir: %s
`, nodeIP, "/"+cgroupName(c.Dir), dnsIP, c.containerdSocket(), c.path("node", "resolv.conf"), c.path("node", "volume-plugins"))
}

func (c *Cluster) kubeProxyConfig() string {
	return fmt.Sprintf(`
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %q}
clusterCIDR: %s
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
detectLocalMode: ClusterCIDR
healthzBindAddress: %s:%d
hostnameOverride: %s
metricsBindAddress: 127.0.0.1:10249
mode: iptables
`, c.userKubeconfig("system:kube-proxy"), podRange, nodeIP, proxyHealthPort, nodeName)
}

// corefile: this machine is host.testbed, and other names outside of the cluster
// do not exist. One block each, because a block's plug-ins run in a fixed order,
// template before kubernetes.
func (c *Cluster) corefile() string {
	return fmt.Sprintf(`
cluster.local in-addr.arpa ip6.arpa {
  bind %[1]s
  errors
  kubernetes {
    kubeconfig %[4]s
    pods insecure
    ttl 5
  }
}
host.testbed {
  bind %[1]s
  errors
  hosts {
    %[3]s host.testbed
    ttl 5
  }
}
. {
  bind %[1]s
  errors
  ready %[2]s:%[5]d
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`, dnsIP, nodeIP, hostIP, c.kubeconfig(), dnsReadyPort)
}
