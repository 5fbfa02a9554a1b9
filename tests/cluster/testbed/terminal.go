package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal tells whether file is this process' controlling terminal and this
// process is in its foreground: only then may a child be put there.
func isTerminal(file *os.File) bool {
	group, err := unix.IoctlGetInt(int(file.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
