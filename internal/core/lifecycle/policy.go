package lifecycle

import (
	"bytes"
	"encoding/json"
)

// Policy is a repository's lifecycle policy as Parse accepted it: its rules in order of priority.
type Policy struct {
	Rules []Rule `json:"rules"`
}

// Rule says what happens to the images that it selects. Its members are in the order in which ECR gives them
// back.
type Rule struct {
	Priority    int32     `json:"rulePriority"`          // 1 comes first; no two are the same
	Description *string   `json:"description,omitempty"` // nil where there is none
	Selection   Selection `json:"selection"`
	Action      Action    `json:"action"`

	Berth *Extension `json:"berth,omitempty"` // what ECR cannot say; nil where there is none
}

// Selection says which images a rule is about, and from when on or beyond how many.
type Selection struct {
	TagStatus   TagStatus    `json:"tagStatus"`
	Prefixes    []string     `json:"tagPrefixList,omitempty"`  // each must be met by a tag of the image
	Patterns    []string     `json:"tagPatternList,omitempty"` // likewise; * stands for any run of characters
	Storage     StorageClass `json:"storageClass,omitempty"`   // empty means Standard
	CountType   CountType    `json:"countType"`
	CountUnit   string       `json:"countUnit,omitempty"` // days, unless images are counted
	CountNumber int32        `json:"countNumber"`
}

// Class is the storage class whose images the selection is about.
func (s Selection) Class() StorageClass {
	if s.Storage == "" {
		return Standard
	}
	return s.Storage
}

// Action is what is done with an image.
type Action struct {
	Type   ActionType   `json:"type"`
	Target StorageClass `json:"targetStorageClass,omitempty"` // of Transition
}

// TagStatus selects images by their tags.
type TagStatus string

// The tag statuses.
const (
	Tagged   TagStatus = "tagged"
	Untagged TagStatus = "untagged"
	AnyTag   TagStatus = "any"
)

// CountType says what CountNumber counts.
type CountType string

// The count types: all but the youngest so many images, or those whose time is longer ago than so many days.
const (
	CountMoreThan     CountType = "imageCountMoreThan"
	SincePushed       CountType = "sinceImagePushed"
	SincePulled       CountType = "sinceImagePulled"
	SinceTransitioned CountType = "sinceImageTransitioned"
)

// StorageClass is where an image is kept.
type StorageClass string

// The storage classes.
const (
	Standard StorageClass = "standard"
	Archive  StorageClass = "archive"
)

// ClassOf gives the class of an image that is archived, or is not.
func ClassOf(archived bool) StorageClass {
	if archived {
		return Archive
	}
	return Standard
}

// ActionType is the kind of an action.
type ActionType string

// The actions.
const (
	Expire     ActionType = "expire"
	Transition ActionType = "transition"
)

// Text writes the policy as ECR stores it: without white space, rules in order of priority.
func (p Policy) Text() string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return "" // strings and integers always marshal
	}
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}

// transitions tells whether a rule moves images to another storage class.
func (p Policy) transitions() bool {
	for _, r := range p.Rules {
		if r.Action.Type == Transition {
			return true
		}
	}
	return false
}
