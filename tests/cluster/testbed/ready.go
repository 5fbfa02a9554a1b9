package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// requestTimeout is for one health check or small API request.
	requestTimeout = 10 * time.Second
	// kubectlTimeout is for one kubectl command, with discovery on a cold cache.
	kubectlTimeout = 60 * time.Second
	// logTailLines of a failing component are quoted: enough for a Go panic's head.
	logTailLines = 25
)

var (
	plainClient = &http.Client{Timeout: requestTimeout}
	// The health endpoints of controller manager and scheduler have certificates
	// that live in their memory only; nothing secret is sent there.
	insecureClient = &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
)

func getOK(ctx context.Context, client *http.Client, url, token string) error {
	body, err := request(ctx, client, http.MethodGet, url, token, nil)
	if err == nil {
		err = body.Close()
	}
	return err
}

// request returns the body of a 2xx answer.
func request(ctx context.Context, client *http.Client, method, url, token string, content []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 400))
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, response.Status, strings.TrimSpace(string(text)))
	}
	return response.Body, nil
}

// apiClient verifies the API server by the certificate that it made. A timeout
// of zero is for watches.
func (c *Cluster) apiClient(timeout time.Duration) (*http.Client, error) {
	certificates, err := os.ReadFile(c.caFile())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificates) {
		return nil, fmt.Errorf("%s holds no certificate", c.caFile())
	}
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		DisableKeepAlives: true,
	}}, nil
}

// get reads an API path as the admin, into object when that is not nil.
func (c *Cluster) get(ctx context.Context, path string, object any) error {
	client, err := c.apiClient(requestTimeout)
	if err != nil {
		return err
	}
	body, err := request(ctx, client, http.MethodGet, c.server()+path, c.Tokens[adminUser], nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if object == nil {
		return nil
	}
	return json.NewDecoder(body).Decode(object)
}

// kubectl runs the bundled kubectl as the admin and returns what it prints.
func (c *Cluster) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	path, err := binary("kubectl")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, kubectlTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, append([]string{"--kubeconfig", c.kubeconfig()}, args...)...)
	command.Stdin = strings.NewReader(input)
	var output, problem bytes.Buffer
	command.Stdout, command.Stderr = &output, &problem
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problem.String()))
	}
	return output.String(), nil
}

// waitReady looks until ready returns nil. ended, if not nil, delivers the end
// of the process that is waited for.
func (c *Cluster) waitReady(ctx context.Context, name string, timeout time.Duration, ended <-chan error, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not ready after %s", timeout))
	defer cancel()
	last := error(nil)
	for {
		if last = ready(ctx); last == nil {
			return nil
		}
		select {
		case err := <-ended:
			if err == nil {
				err = fmt.Errorf("it exited with status 0")
			}
			return fmt.Errorf("%s did not start: %w\n%s", name, err, c.logTail(name))
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last seen: %w\n%s", name, context.Cause(ctx), last, c.logTail(name))
		case <-time.After(pollInterval):
		}
	}
}

// logTail quotes the end of a component's log.
func (c *Cluster) logTail(name string) string {
	data, err := os.ReadFile(c.logPath(name))
	if err != nil {
		return fmt.Sprintf("its log cannot be read: %v", err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) > logTailLines {
		lines = lines[len(lines)-logTailLines:]
	}
	return fmt.Sprintf("end of %s:\n  %s", c.logPath(name), strings.Join(lines, "\n  "))
}

func randomBelow(n int) int { return rand.IntN(n) }
