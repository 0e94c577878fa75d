package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/advice"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

func (p *program) imagesAdviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "advice DOCKERFILE [REPOSITORY:TAG]",
		Short: "Say what is wrong with a Dockerfile, and what makes its image large",
		Long: "Advice reads a Dockerfile, and the image that was made by it if it is named: base images that are not pinned, a compiler\n" +
			"or caches that stay in the image, root, secrets, an order that makes the build cache useless, large layers. Each\n" +
			"finding has its line, why it matters, and what to write instead. The exit code is 3 if there are warnings; notes\n" +
			"are none.",
		Example: "berth images advice apps/web/Dockerfile --context .\n" +
			"berth images advice Dockerfile hoopstat-haus/prod:web-latest --output json",
		Args: cobra.RangeArgs(1, 2), //nolint:mnd // as the usage says
		RunE: func(cmd *cobra.Command, args []string) error { return p.imagesAdvice(cmd, args[0], args[1:]) },
	}
	cmd.Flags().String("context", "", "the directory that the Dockerfile copies from; its own if not given")
	cmd.Flags().String("platform", "linux/amd64", "of an index, the image for this platform")
	return cmd
}

// advised is the JSON output, which is a contract: docs/operate/images.md.
type advised struct {
	Dockerfile string          `json:"dockerfile"`
	Image      string          `json:"image,omitempty"`
	Warnings   int             `json:"warnings"`
	Notes      int             `json:"notes"`
	Findings   []advisedOnLine `json:"findings"`
}

type advisedOnLine struct {
	Rule  string `json:"rule"`
	Level string `json:"level"`
	Line  int    `json:"line,omitempty"`
	What  string `json:"what"`
	Why   string `json:"why"`
	Fix   string `json:"fix"`
}

func (p *program) imagesAdvice(cmd *cobra.Command, file string, image []string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	text, err := p.readFile(file)
	if err != nil {
		return err
	}
	in := advice.Input{Dockerfile: []byte(text)}
	if in.Ignored, err = ignored(cmd, file); err != nil {
		return err
	}
	data := advised{Dockerfile: file, Findings: []advisedOnLine{}}
	if len(image) > 0 {
		data.Image = image[0]
		if in.Image, err = p.builtImage(cmd, image[0]); err != nil {
			return err
		}
	}
	found, err := advice.Read(in)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, f := range found {
		if f.Level == advice.Warning {
			data.Warnings++
		} else {
			data.Notes++
		}
		data.Findings = append(data.Findings, advisedOnLine{f.Rule, string(f.Level), f.Line, f.What, f.Why, f.Fix})
	}
	err = p.print(cmd, data, func(w io.Writer) error { return writeAdvice(w, data) })
	if err == nil && data.Warnings > 0 {
		err = foundError{errors.New(plural(data.Warnings, "warning", "warnings") + ", " + plural(data.Notes, "note", "notes"))}
	}
	return err
}

// ignored tells whether something keeps files of the context from the builder.
func ignored(cmd *cobra.Command, file string) (bool, error) {
	context, err := cmd.Flags().GetString("context")
	if err != nil {
		return false, err
	}
	if context == "" {
		context = filepath.Dir(file)
	}
	for _, name := range []string{file + ".dockerignore", filepath.Join(context, ".dockerignore")} {
		if _, err := os.Stat(name); err == nil {
			return true, nil
		}
	}
	return false, nil
}

// builtImage looks into the image that a Dockerfile made.
func (p *program) builtImage(cmd *cobra.Command, named string) (*images.Variant, error) {
	name, err := p.imageName(named)
	if err != nil {
		return nil, err
	}
	platform, err := cmd.Flags().GetString("platform")
	if err != nil {
		return nil, err
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return nil, err
	}
	found, err := imagesOf(client, name.Repository).Show(cmd.Context(), name.Reference)
	if err != nil {
		return nil, p.imagesError(fmt.Errorf("looking into %s: %w", name, err), client)
	}
	if found.NotRead != nil {
		p.say("how the image was made and runs is not known: %s", found.NotRead)
	}
	some := found.Variants
	if len(some) > 1 {
		some = found.For(platform)
	}
	if len(some) == 0 {
		return nil, usageError{fmt.Errorf("--platform: %s is not for %s", name, platform), "it is for " + dash(strings.Join(found.Platforms(), ", "))}
	}
	return &some[0], nil
}

func writeAdvice(w io.Writer, data advised) error {
	for _, f := range data.Findings {
		at := data.Dockerfile
		if f.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, f.Line)
		}
		if _, err := fmt.Fprintf(w, "%s: %s: %s (%s)\n  why: %s\n  fix: %s\n", at, f.Level, oneLine(f.What), f.Rule, f.Why, oneLine(f.Fix)); err != nil {
			return err
		}
	}
	return nil
}
