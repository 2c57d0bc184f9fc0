package steplane_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	// imported are the packages that a block without imports may name.
	imported = map[string]string{
		"context": "context", "errors": "errors", "fmt": "fmt", "time": "time",
		"steplane": "github.com/steplane/steplane/sdk_go", "step": "github.com/steplane/steplane/sdk_go/step",
		"group": "github.com/steplane/steplane/sdk_go/group",
	}
)

func TestTheGoCodeOfThePageIsAProgram(t *testing.T) {
	page, err := os.ReadFile("../docs/guides/go.md")
	if err != nil {
		t.Fatal(err)
	}
	// A folder of this module, so that it has the module's dependencies; its name hides it from ./... of the tools.
	folder, err := os.MkdirTemp(".", "_page-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 4 {
		t.Fatalf("there are %d blocks", len(blocks))
	}
	for index, block := range blocks {
		path := filepath.Join(folder, fmt.Sprintf("block_%d.go", index))
		if err := os.WriteFile(path, []byte(file(block[1])), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := exec.Command("gofmt", "-l", folder).CombinedOutput(); err != nil || len(said) != 0 {
		t.Errorf("not formatted: %s %v", said, err)
	}
	if said, err := exec.Command("go", "vet", "./"+folder).CombinedOutput(); err != nil {
		t.Errorf("%s %v", said, err)
	}
}

// file is a block as a whole file: with a package, and what it imports.
func file(block string) string {
	if strings.HasPrefix(block, "package ") {
		return block
	}
	head := "package main\n"
	for name, path := range imported {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(block) {
			head += fmt.Sprintf("\nimport %s %q\n", name, path)
		}
	}
	return head + "\n" + block
}
