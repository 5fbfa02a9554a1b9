package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// pauseImage holds a pod's namespaces open. Its program is this one. The name
// is complete, because containerd looks it up as it is written.
const pauseImage = "docker.io/local/pause:1"

// importTimeout is for one image of some hundred megabytes on a busy disk.
const importTimeout = 5 * time.Minute

// cmdLoadImage imports OCI or Docker archives for use by pods.
func cmdLoadImage(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("load-image", flag.ContinueOnError)
	dirValue := dirFlag(flags)
	archives, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return usageError{"load-image needs at least one archive"}
	}
	dir, err := resolveDir(*dirValue)
	if err != nil {
		return err
	}
	cluster, err := load(dir)
	if err != nil {
		return err
	}
	if cluster.Options.Level != levelNode {
		return fmt.Errorf("the cluster in %s has no node to load images into; start it with --level node", dir)
	}
	for _, archive := range archives {
		if err := cluster.importImage(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

// cmdPause is what runs in the pause image: as a pod's first process it reaps
// orphans until it is told to end.
func cmdPause() error {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	orphan := make(chan os.Signal, 1)
	signal.Notify(orphan, syscall.SIGCHLD)
	for {
		select {
		case <-end:
			return nil
		case <-orphan:
			for {
				if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}

// writePauseImage writes the pause image as a Docker archive.
func writePauseImage(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	layer, err := tarOf(map[string][]byte{"testbed": program}, 0o755)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/testbed", "internal-pause"}, "User": "65535:65535"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{pauseImage}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	archive, err := tarOf(map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer}, 0o644)
	if err != nil {
		return err
	}
	return os.WriteFile(path, archive, 0o600)
}

func tarOf(files map[string][]byte, mode int64) ([]byte, error) {
	buffer := &bytes.Buffer{}
	writer := tar.NewWriter(buffer)
	for name, content := range files {
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := writer.Write(content); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), writer.Close()
}
