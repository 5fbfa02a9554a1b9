package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// provisionerName is the StorageClass' provisioner, played by cmdProvision.
const provisionerName = "testbed/host-path"

// storageClass is the default class: a directory per claim, kept in DIR/volumes.
const storageClass = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: ` + provisionerName + `
reclaimPolicy: Delete
volumeBindingMode: Immediate
`

const (
	// watchTimeout ends each watch, so that a lost connection is noticed.
	watchTimeout = 5 * time.Minute
	// provisionRetry is the pause after an error: the API server may be stopped by a test.
	provisionRetry = time.Second
)

type claim struct {
	Metadata struct{ Name, Namespace, UID string }
	Spec     struct {
		StorageClassName string
		AccessModes      []string
		VolumeMode       string
		Resources        struct {
			Requests map[string]string
		}
	}
	Status struct{ Phase string }
}

type volume struct {
	Metadata struct{ Name string }
	Spec     struct {
		StorageClassName              string
		PersistentVolumeReclaimPolicy string
		HostPath                      *struct{ Path string }
	}
	Status struct{ Phase string }
}

// cmdProvision makes a volume for each pending claim of its class and removes
// it after the claim, until it is stopped.
func cmdProvision(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("internal-provision", flag.ContinueOnError)
	dir := dirFlag(flags)
	if err := noArguments(flags, args); err != nil {
		return err
	}
	cluster, err := load(*dir)
	if err != nil {
		return err
	}
	kinds := map[string]func(context.Context, *http.Client, json.RawMessage) error{
		"persistentvolumeclaims": cluster.provision,
		"persistentvolumes":      cluster.reclaim,
	}
	for kind, handle := range kinds {
		go func() {
			for ctx.Err() == nil {
				if err := cluster.follow(ctx, kind, handle); err != nil {
					fmt.Fprintf(os.Stderr, "%s: %v\n", kind, err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(provisionRetry):
				}
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// follow hands all objects of a kind to handle, existing ones first (a watch
// without a resource version begins with these).
func (c *Cluster) follow(ctx context.Context, kind string, handle func(context.Context, *http.Client, json.RawMessage) error) error {
	client, err := c.apiClient(0)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	query := url.Values{"watch": {"1"}, "timeoutSeconds": {fmt.Sprint(int(watchTimeout.Seconds()))}}
	body, err := request(ctx, client, http.MethodGet, c.server()+"/api/v1/"+kind+"?"+query.Encode(), c.Tokens[adminUser], nil)
	if err != nil {
		return err
	}
	defer body.Close()
	decoder := json.NewDecoder(body)
	for {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := decoder.Decode(&event); err != nil {
			return err // the regular end of a watch as well
		}
		if event.Type != "ADDED" && event.Type != "MODIFIED" {
			continue
		}
		requestContext, cancel := context.WithTimeout(ctx, requestTimeout)
		err := handle(requestContext, client, event.Object)
		cancel()
		if err != nil {
			return err
		}
	}
}

// provision makes the directory and the PersistentVolume of one pending claim.
func (c *Cluster) provision(ctx context.Context, client *http.Client, raw json.RawMessage) error {
	var claim claim
	if err := json.Unmarshal(raw, &claim); err != nil {
		return err
	}
	if claim.Status.Phase != "Pending" || claim.Spec.StorageClassName != "standard" || claim.Spec.VolumeMode == "Block" {
		return nil
	}
	name := "pvc-" + claim.Metadata.UID
	path := c.path("volumes", name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	// The kubelet applies no fsGroup to a host path, so any uid may write. Chmod, because of the umask.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": map[string]any{"name": name, "annotations": map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName}},
		"spec": map[string]any{
			"accessModes":                   claim.Spec.AccessModes,
			"capacity":                      claim.Spec.Resources.Requests,
			"hostPath":                      map[string]string{"path": path, "type": "Directory"},
			"persistentVolumeReclaimPolicy": "Delete",
			"storageClassName":              "standard",
			"claimRef": map[string]string{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": claim.Metadata.UID,
				"namespace": claim.Metadata.Namespace, "name": claim.Metadata.Name,
			},
		},
	})
	if err != nil {
		return err
	}
	// Server-side apply: the same claim is seen pending more than once.
	return c.send(ctx, client, http.MethodPatch, "/api/v1/persistentvolumes/"+name+"?fieldManager=testbed&force=true", object)
}

// reclaim removes the volume of a claim that is gone.
func (c *Cluster) reclaim(ctx context.Context, client *http.Client, raw json.RawMessage) error {
	var volume volume
	if err := json.Unmarshal(raw, &volume); err != nil {
		return err
	}
	if volume.Status.Phase != "Released" && volume.Status.Phase != "Failed" {
		return nil
	}
	root := c.path("volumes") + "/"
	if volume.Spec.StorageClassName != "standard" || volume.Spec.PersistentVolumeReclaimPolicy != "Delete" ||
		volume.Spec.HostPath == nil || filepath.Dir(volume.Spec.HostPath.Path)+"/" != root {
		return nil
	}
	if err := os.RemoveAll(volume.Spec.HostPath.Path); err != nil {
		return err
	}
	return c.send(ctx, client, http.MethodDelete, "/api/v1/persistentvolumes/"+volume.Metadata.Name, nil)
}

// send makes one write request; a missing object is no error.
func (c *Cluster) send(ctx context.Context, client *http.Client, method, path string, content []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, c.server()+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Tokens[adminUser])
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/apply-patch+yaml") // JSON is YAML
	}
	response, err := client.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 && response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return nil
}
