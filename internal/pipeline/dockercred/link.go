package dockercred

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Program is the name under which docker finds this helper.
const Program = "docker-credential-" + helperName

// Link makes the helper's name in a directory lead to the program, and gives the link's path. What is there
// under that name already stays, and is an error unless it leads there too.
func Link(dir, program string) (string, error) {
	at := filepath.Join(dir, Program)
	err := os.Symlink(program, at)
	if !errors.Is(err, fs.ErrExist) {
		if err != nil {
			return "", fmt.Errorf("linking docker's name for the helper: %w", err)
		}
		return at, nil
	}
	have, err := filepath.EvalSymlinks(at)
	if err != nil {
		return "", fmt.Errorf("%s exists already: %w", at, err)
	}
	want, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", fmt.Errorf("finding the program: %w", err)
	}
	if have != want {
		return "", fmt.Errorf("%s exists already, and is %s", at, have)
	}
	return at, nil
}
