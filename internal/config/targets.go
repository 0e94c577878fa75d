package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Target is where notices of alarms and budgets go: one of Webhook, Email and Slack is set.
type Target struct {
	// Webhook is a URL that notices are posted to, signed with a secret.
	Webhook    string `yaml:"webhook"`
	Secret     string `yaml:"secret"` // or the file
	SecretFile string `yaml:"secret-file"`

	// Email is addresses, and SMTP the server that takes mail for them.
	Email []string `yaml:"email"`
	SMTP  *SMTP    `yaml:"smtp"`

	// Slack is the URL of an incoming webhook of Slack's, or of a chat that takes the same: a secret by itself.
	Slack   string `yaml:"slack"` // or the file
	URLFile string `yaml:"url-file"`

	// Topics are ARNs that alarms have as actions, and that stand for the target.
	Topics []string `yaml:"topics"`
	// AllowPrivate lets the target be at a private address, or on this machine.
	AllowPrivate bool `yaml:"allow-private"`
}

// SMTP is a mail server.
type SMTP struct {
	Host string `yaml:"host"`
	Port int    `yaml:"port"` // 0: 587, or 465 where TLS is implicit
	From string `yaml:"from"`
	TLS  string `yaml:"tls"` // starttls, which is also the default, implicit or none

	Username     string `yaml:"username"` // or empty: nobody signs in
	Password     string `yaml:"password"` // or the file
	PasswordFile string `yaml:"password-file"`
}

var (
	targetName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	topicPattern = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)
	// webhookSecret is what Standard Webhooks signs with; there may be two, while one takes the place of the other.
	webhookSecret = regexp.MustCompile(`^whsec_([A-Za-z0-9+/]+=*)$`)
)

// completeTargets reads the files that targets name, and says what is wrong with them. Nothing secret is shown.
func (c *Config) completeTargets() error {
	var problems []error
	topics := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		t := c.Targets[name]
		at := "targets: " + name + ": "
		if !targetName.MatchString(name) {
			problems = append(problems, errors.New("targets: a name has letters, digits, dots, dashes and underscores, at most 64, and begins with a letter or digit"))
			continue
		}
		problems = append(problems, t.complete(at))
		for _, topic := range t.Topics {
			switch {
			case !topicPattern.MatchString(topic):
				problems = append(problems, fmt.Errorf("%s%q is not the ARN of a topic such as arn:aws:sns:us-east-1:123456789012:alerts", at, topic))
			case topics[topic] != "":
				problems = append(problems, fmt.Errorf("%sthe topic %s stands for the target %s already", at, topic, topics[topic]))
			}
			topics[topic] = name
		}
		c.Targets[name] = t
	}
	return errors.Join(problems...)
}

// kinds lists which of the kinds of target an entry is.
func (t *Target) kinds() []string {
	var kinds []string
	for kind, set := range map[string]bool{
		"webhook": t.Webhook != "", "email": len(t.Email) > 0, "slack": t.Slack != "" || t.URLFile != "",
	} {
		if set {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Kind is webhook, email or slack.
func (t *Target) Kind() string { return strings.Join(t.kinds(), " and ") }

func (t *Target) complete(at string) error {
	kinds := t.kinds()
	switch {
	case len(kinds) == 0:
		return errors.New(at + "give one of webhook, email, and slack or url-file")
	case len(kinds) > 1:
		return fmt.Errorf("%sit is %s: give one of them, and make the other a target of its own", at, t.Kind())
	case kinds[0] != "webhook" && (t.Secret != "" || t.SecretFile != ""):
		return errors.New(at + "secret and secret-file go with webhook")
	case kinds[0] != "email" && t.SMTP != nil:
		return errors.New(at + "smtp goes with email")
	}
	switch kinds[0] {
	case "webhook":
		if err := checkTargetURL(at, "webhook", t.Webhook, t.AllowPrivate); err != nil {
			return err
		}
		if err := oneSecret(at, "secret", &t.Secret, t.SecretFile); err != nil {
			return err
		}
		return checkWebhookSecret(at, t.Secret)
	case "slack":
		if t.Slack != "" && t.URLFile != "" {
			return errors.New(at + "give slack or url-file, not both")
		}
		if t.Slack == "" {
			if err := oneSecret(at, "url", &t.Slack, t.URLFile); err != nil {
				return err
			}
		}
		return checkTargetURL(at, "slack", t.Slack, t.AllowPrivate)
	default:
		return t.completeMail(at)
	}
}

// checkTargetURL checks a URL, and shows nothing of it: there may be a token in it.
func checkTargetURL(at, name, text string, private bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Fragment != "":
		return fmt.Errorf("%s%s is not a URL such as https://hooks.example.com/berth", at, name)
	case u.User != nil:
		return fmt.Errorf("%s%s must not have a user in its URL", at, name)
	case u.Scheme == "http" && !private:
		return fmt.Errorf("%s%s is a URL without TLS, which needs allow-private: true, and must be inside your network", at, name)
	}
	return nil
}

func checkWebhookSecret(at, secrets string) error {
	const least, most = 24, 64 // bytes
	for secret := range strings.FieldsSeq(secrets) {
		parts := webhookSecret.FindStringSubmatch(secret)
		if parts != nil {
			if key, err := base64.StdEncoding.DecodeString(parts[1]); err == nil && len(key) >= least && len(key) <= most {
				continue
			}
		}
		return fmt.Errorf("%ssecret is not whsec_ and the base64 of %d to %d bytes: make one with echo whsec_$(openssl rand -base64 32)", at, least, most)
	}
	return nil
}

func (t *Target) completeMail(at string) error {
	for i, text := range t.Email {
		if a, err := mail.ParseAddress(text); err != nil || strings.ContainsAny(text, "\r\n") || a.Address == "" {
			return fmt.Errorf("%semail: entry %d is not an address such as ops@example.com", at, i+1)
		}
	}
	if t.SMTP == nil {
		return errors.New(at + "smtp is missing: the mail server, with host and from")
	}
	s := t.SMTP
	at += "smtp: "
	if s.TLS == "" {
		s.TLS = "starttls"
	}
	from, err := mail.ParseAddress(s.From)
	switch {
	case s.Host == "" || strings.ContainsAny(s.Host, "/@ \r\n\t") || strings.Contains(s.Host, ":") && net.ParseIP(s.Host) == nil:
		return errors.New(at + "host is not the name of a mail server, such as smtp.example.com")
	case s.Port < 0 || s.Port > 65535:
		return errors.New(at + "port is 1 to 65535")
	case err != nil || strings.ContainsAny(s.From, "\r\n") || from.Address == "":
		return errors.New(at + "from is not an address such as berth@example.com")
	case !slices.Contains([]string{"starttls", "implicit", "none"}, s.TLS):
		return errors.New(at + "tls is starttls, implicit or none")
	case s.Username == "" && (s.Password != "" || s.PasswordFile != ""):
		return errors.New(at + "a password needs a username")
	case s.TLS == "none" && s.Username != "":
		return errors.New(at + "a password is not sent without TLS: tls must be starttls or implicit")
	case s.TLS == "none" && !t.AllowPrivate:
		return errors.New(at + "a server without TLS needs allow-private: true, and must be inside your network")
	case s.Username == "":
		return nil
	}
	return oneSecret(at, "password", &s.Password, s.PasswordFile)
}
