package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// groups of the users that the cluster is made with. The names are those that
// RBAC's bootstrap policy binds.
var groups = map[string]string{
	adminUser:                        "system:masters",
	"system:kube-controller-manager": "",
	"system:kube-scheduler":          "",
	"system:kube-proxy":              "",
	"system:node:" + nodeName:        "system:nodes",
}

const (
	adminUser = "admin"
	nodeName  = "testbed"
)

// serviceAccountKeyBits: RS256 wants at least 2048; more would only be slower.
const serviceAccountKeyBits = 2048

// makeCredentials writes a random token per user and the key pair that signs
// ServiceAccount tokens.
func (c *Cluster) makeCredentials() error {
	var lines []string
	c.Tokens = map[string]string{}
	for user, group := range groups {
		random := make([]byte, 24)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		c.Tokens[user] = hex.EncodeToString(random)
		lines = append(lines, fmt.Sprintf("%s,%s,%s,%q", c.Tokens[user], user, user, group))
	}
	if err := os.MkdirAll(c.path("pki"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.path("pki", "tokens.csv"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, serviceAccountKeyBits)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(c.path("pki", "sa.key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.path("pki", "sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600)
}

// caFile is the certificate that the API server makes for itself at its start.
func (c *Cluster) caFile() string { return c.path("pki", "apiserver.crt") }

// renderKubeconfig returns a kubeconfig for one bearer token, acting as user
// and userGroups if these are given.
func (c *Cluster) renderKubeconfig(token, user string, userGroups []string) string {
	text := &strings.Builder{}
	fmt.Fprintf(text, `apiVersion: v1
kind: Config
clusters:
- name: testbed
  cluster: {server: %q, certificate-authority: %q}
contexts:
- name: testbed
  context: {cluster: testbed, user: testbed}
current-context: testbed
users:
- name: testbed
  user:
    token: %q
`, c.server(), c.caFile(), token)
	if user != "" {
		fmt.Fprintf(text, "    as: %q\n", user)
	}
	if len(userGroups) > 0 {
		text.WriteString("    as-groups:\n")
		for _, group := range userGroups {
			fmt.Fprintf(text, "    - %q\n", group)
		}
	}
	return text.String()
}

// userKubeconfig is the path of a component's own kubeconfig.
func (c *Cluster) userKubeconfig(user string) string {
	return c.path("pki", strings.ReplaceAll(user, ":", "-")+".kubeconfig")
}

func (c *Cluster) writeKubeconfigs() error {
	for user, token := range c.Tokens {
		path := c.userKubeconfig(user)
		if user == adminUser {
			path = c.kubeconfig()
		}
		if err := os.WriteFile(path, []byte(c.renderKubeconfig(token, "", nil)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// serviceAccountTokenDuration outlasts every test run.
const serviceAccountTokenDuration = "24h"

// cmdKubeconfig prints a kubeconfig for a ServiceAccount (with a real token of
// its own) or for any user (by impersonation, so no restart is needed).
func cmdKubeconfig(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("kubeconfig", flag.ContinueOnError)
	dir := dirFlag(flags)
	account := flags.String("service-account", "", "NAMESPACE/NAME")
	user := flags.String("user", "", "user name")
	var userGroups []string
	flags.Func("group", "group, repeatable", func(group string) error {
		userGroups = append(userGroups, group)
		return nil
	})
	if err := noArguments(flags, args); err != nil {
		return err
	}
	if (*account == "") == (*user == "") {
		return usageError{"kubeconfig needs either --service-account NAMESPACE/NAME or --user NAME"}
	}
	path, err := resolveDir(*dir)
	if err != nil {
		return err
	}
	cluster, err := load(path)
	if err != nil {
		return err
	}
	if *user != "" {
		fmt.Print(cluster.renderKubeconfig(cluster.Tokens[adminUser], *user, userGroups))
		return nil
	}
	namespace, name, valid := strings.Cut(*account, "/")
	if !valid || len(userGroups) > 0 {
		return usageError{fmt.Sprintf("--service-account is %q; it is NAMESPACE/NAME, and takes no --group", *account)}
	}
	token, err := cluster.kubectl(ctx, "", "create", "token", name, "--namespace", namespace, "--duration", serviceAccountTokenDuration)
	if err != nil {
		return err
	}
	fmt.Print(cluster.renderKubeconfig(strings.TrimSpace(token), "", nil))
	return nil
}

// binary is the path of a program that `install` put next to this one.
func binary(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is missing; run tests/cluster/install with the level that needs it", path)
	} else if err != nil {
		return "", err
	}
	return path, nil
}
