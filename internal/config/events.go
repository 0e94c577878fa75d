package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Bounds of the feed of events.
const (
	maxKeptEvents   = 100_000_000
	maxEventBatch   = 500
	minKeptEvents   = 1000
	shortestKeeping = time.Minute
)

// EventReceiver is a subscription: events that are posted to a webhook.
type EventReceiver struct {
	// Name is what the receiver is known by, and where its place in the feed is kept: Target's name or the URL's host where there is none.
	Name string `yaml:"name"`

	// Target is the name of a target that is a webhook; or URL and what goes with it.
	Target       string `yaml:"target"`
	URL          string `yaml:"url"`
	Secret       string `yaml:"secret"` // or the file
	SecretFile   string `yaml:"secret-file"`
	AllowPrivate bool   `yaml:"allow-private"`

	Kinds        []string `yaml:"kinds"`        // none: all
	Repositories []string `yaml:"repositories"` // patterns with * and ?; none: all
	Format       string   `yaml:"format"`       // cloudevents, which is the default, eventbridge or distribution
	Batch        int      `yaml:"batch"`        // how many events a message may have; 0: one at a time
}

// completeEvents fills in what entries leave to targets and files, and says what is wrong with them. Kinds are the feed's to know.
func (c *Config) completeEvents() error {
	var problems []error
	names := map[string]bool{}
	for i := range c.Events {
		r := &c.Events[i]
		at := fmt.Sprintf("events: entry %d: ", i+1)
		if err := r.complete(at, c.Targets); err != nil {
			problems = append(problems, err)
			continue
		}
		if names[r.Name] {
			problems = append(problems, fmt.Errorf("%san entry before it has the name %s: give it another", at, r.Name))
		}
		names[r.Name] = true
	}
	return errors.Join(problems...)
}

func (r *EventReceiver) complete(at string, targets map[string]Target) error {
	target, known := targets[r.Target]
	switch {
	case (r.Target == "") == (r.URL == ""):
		return errors.New(at + "give one of target and url")
	case r.Target != "" && (r.Secret != "" || r.SecretFile != "" || r.AllowPrivate):
		return errors.New(at + "secret, secret-file and allow-private go with url: the target has its own")
	case r.Target != "" && !known:
		return fmt.Errorf("%sthere is no target %q in targets", at, r.Target)
	case r.Target != "" && target.Webhook == "":
		return fmt.Errorf("%sthe target %s is no webhook: events go to programs", at, r.Target)
	case r.Batch < 0 || r.Batch > maxEventBatch:
		return fmt.Errorf("%sbatch is 1 to %d", at, maxEventBatch)
	case !slices.Contains([]string{"", "cloudevents", "eventbridge", "distribution"}, r.Format):
		return errors.New(at + "format is cloudevents, eventbridge or distribution")
	case slices.Contains(r.Repositories, ""):
		return errors.New(at + "repositories has an empty pattern: leave repositories out for all")
	}
	r.Format, r.Batch = cmp.Or(r.Format, "cloudevents"), max(r.Batch, 1)
	if known {
		r.URL, r.Secret, r.AllowPrivate = target.Webhook, target.Secret, target.AllowPrivate
		r.Name = cmp.Or(r.Name, r.Target)
	} else {
		if err := checkTargetURL(at, "url", r.URL, r.AllowPrivate); err != nil {
			return err
		}
		if err := oneSecret(at, "secret", &r.Secret, r.SecretFile); err != nil {
			return err
		}
		if err := checkWebhookSecret(at, r.Secret); err != nil {
			return err
		}
	}
	if u, err := url.Parse(r.URL); err == nil && r.Name == "" {
		r.Name = u.Hostname()
	}
	if !targetName.MatchString(r.Name) {
		return errors.New(at + "give a name of letters, digits, dots, dashes and underscores, at most 64, that begins with a letter or digit")
	}
	return nil
}

// eventOptions says for how long events are kept.
func eventOptions() []Option {
	return []Option{
		{
			Name: "events-keep", Default: "168h",
			Usage: "how long events are kept for readers and receivers that come back late",
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d < shortestKeeping {
					return fmt.Errorf("%q is not a duration of at least a minute such as 168h", v)
				}
				c.EventsKeep = d
				return nil
			},
		},
		{
			Name: "events-most", Default: "1000000",
			Usage: "how many events are kept at most, the latest",
			set: func(c *Config, v string) error {
				n, err := strconv.Atoi(v)
				if err != nil || n < minKeptEvents || n > maxKeptEvents {
					return fmt.Errorf("%q is not a number from %d to %d", v, minKeptEvents, maxKeptEvents)
				}
				c.EventsMost = n
				return nil
			},
		},
	}
}
