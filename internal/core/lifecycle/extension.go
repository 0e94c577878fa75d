package lifecycle

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Extension is what a rule says in its member "berth", which ECR does not have. A rule without it means what it
// means to ECR. docs/design/lifecycle.md tells what each member does.
type Extension struct {
	CountPer        *CountPer `json:"countPer,omitempty"`        // nil: all that the rule selects are counted together
	CountImagesOnly bool      `json:"countImagesOnly,omitempty"` // leave out what is no image for itself: see Kind and oci.CompanionOf
	ExpireByPull    bool      `json:"expireByPull,omitempty"`    // the rule expires by sinceImagePulled
}

// CountPer has a rule count the images of each application for themselves: those whose tags begin alike.
type CountPer struct {
	TagsUpTo  TagsUpTo `json:"tagsUpTo"`
	Separator string   `json:"separator"`
}

// TagsUpTo says at which of its separators a tag's application ends.
type TagsUpTo string

// The ends of an application's name.
const (
	FirstSeparator TagsUpTo = "first"
	LastSeparator  TagsUpTo = "last"
)

// application gives the application that a tag names, or false when there is none before a separator, or the tag is made
// of a digest: signatures are no application, of which all but some may go.
func (c CountPer) application(tag string) (string, bool) {
	if _, filed := oci.CompanionOf(tag); filed {
		return "", false
	}
	at := strings.LastIndex(tag, c.Separator)
	if c.TagsUpTo == FirstSeparator {
		at = strings.Index(tag, c.Separator)
	}
	if at <= 0 {
		return "", false
	}
	return tag[:at], true
}

// berth gives a rule's extension, empty where there is none.
func (r Rule) berth() Extension {
	if r.Berth == nil {
		return Extension{}
	}
	return *r.Berth
}

func parseExtension(v any) (*Extension, error) {
	o, err := members(v, nil, []string{"countImagesOnly", "countPer", "expireByPull"})
	if err != nil {
		return nil, err
	}
	if len(o) == 0 {
		return nil, invalid("object is too short: must have at least 1 members but instance has 0 members")
	}
	var e Extension
	if e.CountImagesOnly, err = yes(o, "countImagesOnly"); err != nil {
		return nil, err
	}
	if e.ExpireByPull, err = yes(o, "expireByPull"); err != nil {
		return nil, err
	}
	if per, there := o["countPer"]; there {
		if e.CountPer, err = parseCountPer(per); err != nil {
			return nil, err
		}
	}
	return &e, nil
}

// yes reads a member that is true or is not there: what is off is not said, so that a policy has one text.
func yes(o object, name string) (bool, error) {
	v, there := o[name]
	if !there {
		return false, nil
	}
	on, ok := v.(bool)
	switch {
	case !ok:
		return false, wrongType(v, "boolean")
	case !on:
		return false, invalid("instance value (false) not found in enum (possible values: [true])")
	}
	return true, nil
}

// tagSyntax is what a separator is made of, being part of a tag.
const tagSyntax = `^[A-Za-z0-9_.-]{1,128}$`

func parseCountPer(v any) (*CountPer, error) {
	o, err := members(v, []string{"separator", "tagsUpTo"}, nil)
	if err != nil {
		return nil, err
	}
	var c CountPer
	if c.TagsUpTo, err = oneOf(o["tagsUpTo"], FirstSeparator, LastSeparator); err != nil {
		return nil, err
	}
	s, ok := o["separator"].(string)
	if !ok {
		return nil, wrongType(o["separator"], "string")
	}
	if s == "" || len(s) > 128 || strings.ContainsFunc(s, notOfTags) {
		return nil, invalid("ECMA 262 regex %s does not match input string %s", asJSON(tagSyntax), asJSON(s))
	}
	c.Separator = s
	return &c, nil
}

func notOfTags(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
}

func asJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return string(b)
}

// checkExtension holds a rule's extension against the rest of it.
func checkExtension(r Rule) error {
	e, s := r.berth(), r.Selection
	counted := s.CountType == CountMoreThan
	switch {
	case e.CountPer != nil && (!counted || s.TagStatus != Tagged):
		return invalid("Must not specify berth.countPer unless tagStatus=TAGGED and countType=imageCountMoreThan.")
	case e.CountImagesOnly && !counted:
		return invalid("Must not specify berth.countImagesOnly unless countType=imageCountMoreThan.")
	case e.ExpireByPull && (s.CountType != SincePulled || r.Action.Type != Expire):
		return invalid("Must not specify berth.expireByPull unless countType=sinceImagePulled and the action is expire.")
	}
	return nil
}
