//go:build !unix

package app

func giveBack([]byte) {}
