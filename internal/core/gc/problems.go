package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// problemEvery is how often a problem that stays is noted again.
	problemEvery = time.Minute
	// mostSaid bounds a problem's text, in runes.
	mostSaid = 500
)

// settingProblems holds the problems by stage.
const settingProblems registry.SettingName = "gc.problems"

// walkStage is the name under which the walk's problem is noted, beside the stages of the sweep.
const walkStage = "walk"

// Problem is why a stage of the sweep, or the walk, could not do its work the last time that it tried, on whichever replica.
type Problem struct {
	Stage string // its name, "walk" or "clock"
	At    time.Time
	Text  string
	Some  bool // other things of the same batch went
}

// said is the text of an error on one line.
func said(err error) string {
	text := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(err.Error(), "\uFFFD")))
	if len(text) > mostSaid {
		text = append(text[:mostSaid], '…')
	}
	return string(text)
}

// problems gives those there are, by stage.
func (s *Service) problems(ctx context.Context) (body string, all map[string]Problem, err error) {
	all = map[string]Problem{}
	body, err = s.Rows.Setting(ctx, settingProblems)
	if errors.Is(err, registry.ErrNoRow) {
		return "", all, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &all)
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading what went wrong: %w", err)
	}
	return body, all, nil
}

// listProblems gives the problems, the walk's and the clock's at the end.
func (s *Service) listProblems(ctx context.Context) ([]Problem, error) {
	_, all, err := s.problems(ctx)
	if err != nil {
		return nil, err
	}
	var list []Problem
	for stage := range stages {
		if p, ok := all[stage.String()]; ok {
			list = append(list, p)
		}
	}
	for _, stage := range []string{walkStage, clockStage} {
		if p, ok := all[stage]; ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// outcomes are what stages that did something came to, by name: a Problem, or nil for what went well.
type outcomes map[string]*Problem

// add takes what a stage came to. What took nothing and met no error says nothing: it may be waiting before it tries again.
func (o outcomes) add(stage string, took bool, err error, at time.Time) {
	switch {
	case err != nil:
		o[stage] = &Problem{Stage: stage, At: at, Text: said(err), Some: took}
	case took:
		o[stage] = nil
	}
}

// note puts outcomes in the place of what is noted of the same stages. Another replica may do so at this moment: then the next
// outcome is noted.
func (s *Service) note(ctx context.Context, o outcomes) error {
	if len(o) == 0 || ctx.Err() != nil {
		return nil //nolint:nilerr // who is stopped has no problem
	}
	body, all, err := s.problems(ctx)
	if err != nil {
		return err
	}
	before := maps.Clone(all)
	for stage, p := range o {
		old, had := all[stage]
		since := s.Now().Sub(old.At)
		switch {
		case p == nil && !(old.Some && since >= 0 && since < 2*s.again()): // what failed among others has been tried again by then
			delete(all, stage)
		case p != nil && (!had || since < 0 || since >= problemEvery):
			all[stage] = *p
		}
	}
	if maps.Equal(before, all) {
		return nil
	}
	to, err := json.Marshal(all)
	if err == nil {
		_, err = s.Rows.SwapSetting(ctx, settingProblems, body, string(to), s.Now())
	}
	if err != nil {
		return fmt.Errorf("noting what went wrong: %w", err)
	}
	return nil
}
