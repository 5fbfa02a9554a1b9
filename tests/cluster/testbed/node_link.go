package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The link is a pair of virtual interfaces between this machine and the node's
// network namespace; pod and service addresses are routed through it, so both
// work from this machine without a proxy.
const (
	linkHost = "testbed0"
	linkNode = "testbed1"
)

// linkTimeout is for the other end, which is moved within milliseconds.
const linkTimeout = 20 * time.Second

// makeLink creates the link with both ends here and gives this machine its address.
func makeLink() error {
	if err := removeLink(); err != nil { // left by a crash: the caller has the lock
		return err
	}
	if err := addressesFree(); err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = linkHost
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: linkNode}); err != nil {
		return fmt.Errorf("cannot make the network interface %s: %w", linkHost, err)
	}
	return configureLink(linkHost, hostIP)
}

// addressesFree refuses to hide a network that this machine already reaches.
func addressesFree() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("cannot list this machine's routes: %w", err)
	}
	for _, own := range []string{podRange, serviceRange, hostIP + "/30"} {
		_, ours, err := net.ParseCIDR(own)
		if err != nil {
			return err
		}
		for _, route := range routes {
			if size, _ := ones(route.Dst); size == 0 {
				continue // the default route
			}
			if route.Dst.Contains(ours.IP) || ours.Contains(route.Dst.IP) {
				return fmt.Errorf("this machine has a route to %s, which overlaps %s of the test cluster", route.Dst, own)
			}
		}
	}
	return nil
}

func ones(network *net.IPNet) (int, int) {
	if network == nil {
		return 0, 0
	}
	return network.Mask.Size()
}

func removeLink() error {
	link, err := netlink.LinkByName(linkHost)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) { // it goes by itself with the node's namespace
		return fmt.Errorf("cannot remove the network interface %s: %w", linkHost, err)
	}
	return nil
}

// moveLink gives one end to the network namespace of process pid and routes the
// cluster's addresses there.
func moveLink(pid int) error {
	peer, err := netlink.LinkByName(linkNode)
	if err != nil {
		return fmt.Errorf("%s: %w", linkNode, err)
	}
	if err := netlink.LinkSetNsPid(peer, pid); err != nil {
		return fmt.Errorf("cannot move %s into the node: %w", linkNode, err)
	}
	link, err := netlink.LinkByName(linkHost)
	if err != nil {
		return fmt.Errorf("%s: %w", linkHost, err)
	}
	for _, destination := range []string{podRange, serviceRange} {
		if err := addRoute(link, destination, nodeIP); err != nil {
			return err
		}
	}
	return nil
}

// configureLink sets an address and brings an interface up.
func configureLink(name, ip string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip).To4(), Mask: net.CIDRMask(linkPrefix, 32)}}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("%s: cannot set address %s: %w", name, ip, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s: cannot bring it up: %w", name, err)
	}
	return nil
}

// addRoute routes destination, a CIDR, through gateway.
func addRoute(link netlink.Link, destination, gateway string) error {
	_, network, err := net.ParseCIDR(destination)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: network, Gw: net.ParseIP(gateway)}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("cannot route %s through %s: %w", destination, gateway, err)
	}
	return nil
}

// configureNodeNetwork runs inside the node.
func configureNodeNetwork() error {
	deadline := time.Now().Add(linkTimeout)
	for {
		if _, err := netlink.LinkByName(linkNode); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("%s did not arrive in %s: %w", linkNode, linkTimeout, err)
		}
		time.Sleep(pollInterval)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	// The cluster's DNS listens on its usual Service address, without the Service.
	dns := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(dnsIP).To4(), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrReplace(lo, dns); err != nil {
		return err
	}
	if err := configureLink(linkNode, nodeIP); err != nil {
		return err
	}
	link, err := netlink.LinkByName(linkNode)
	if err != nil {
		return err
	}
	// Everything else goes to this machine, which drops it unless it is for itself.
	if err := addRoute(link, "0.0.0.0/0", hostIP); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}
