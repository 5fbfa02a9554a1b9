package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const cgroupMount = "/sys/fs/cgroup"

// cgroupRemoval bounds the wait for the kernel to let go of cgroups whose
// processes were just killed.
const cgroupRemoval = 10 * time.Second

// cgroupName is the cgroup that all containers of the cluster in dir are below.
func cgroupName(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "testbed-" + hex.EncodeToString(sum[:6])
}

// cgroupRoots are the hierarchies: one in version 2, one per controller in version 1.
func cgroupRoots() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return []string{cgroupMount}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, fmt.Errorf("no cgroups: %w", err)
	}
	var roots []string
	for _, entry := range entries {
		if entry.IsDir() { // symbolic links are second names
			roots = append(roots, filepath.Join(cgroupMount, entry.Name()))
		}
	}
	return roots, nil
}

func makeCgroups(dir string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.MkdirAll(filepath.Join(root, cgroupName(dir)), 0o755); err != nil {
			return fmt.Errorf("cannot make a cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the cluster's cgroups, innermost first.
func removeCgroups(dir string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return nil // no cgroups on this machine, so none of ours
	}
	for _, root := range roots {
		var found []string
		err := filepath.WalkDir(filepath.Join(root, cgroupName(dir)), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil // what went meanwhile is as good
		})
		if err != nil {
			return err
		}
		slices.Reverse(found)
		for _, path := range found {
			if err := removeCgroup(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func removeCgroup(path string) error {
	deadline := time.Now().Add(cgroupRemoval)
	for {
		err := os.Remove(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot remove the cgroup %s: %w", path, err)
		}
		time.Sleep(pollInterval)
	}
}
