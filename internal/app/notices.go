package app

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/jobs"
	"github.com/hoopstat-haus/berth/internal/remote/deliver"
)

// openNotices makes the part that tells people and programs what they are to be told.
func (a *App) openNotices() error {
	var targets []notify.Target
	a.toTarget = map[string]jobs.Bell{}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Targets)) {
		c := a.cfg.Targets[name]
		t := notify.Target{Name: name, Kind: c.Kind(), Topics: c.Topics}
		var err error
		if t.Sender, t.Where, err = a.sender(c); err != nil {
			return fmt.Errorf("the target %s: %w", name, err)
		}
		targets = append(targets, t)
		a.toTarget[name] = jobs.NewBell()
	}
	a.notices = notify.New(notify.Config{
		May: a.registry.May, Rows: a.database.Notices(), Targets: targets, Now: a.deps.Now, Logger: a.deps.Logger,
		Notify: func(target string) {
			if bell, ok := a.toTarget[target]; ok {
				bell.Ring()
			}
		},
	})
	return nil
}

// sender makes what a target is reached by, and says where it is without what is secret.
func (a *App) sender(c config.Target) (notify.Sender, string, error) {
	switch c.Kind() {
	case "webhook":
		w, err := deliver.NewWebhook(deliver.WebhookConfig{URL: c.Webhook, Secret: c.Secret, AllowPrivate: c.AllowPrivate, Now: a.deps.Now})
		if err != nil {
			return nil, "", err
		}
		return deliver.Notices{Webhook: w}, w.Host(), nil
	case "slack":
		s, err := deliver.NewSlack(c.Slack, c.AllowPrivate)
		if err != nil {
			return nil, "", err
		}
		return s, s.Host(), nil
	default:
		m, err := deliver.NewMail(deliver.MailConfig{
			To: c.Email, From: c.SMTP.From, Host: c.SMTP.Host, Port: c.SMTP.Port, TLS: c.SMTP.TLS,
			Username: c.SMTP.Username, Password: c.SMTP.Password, AllowPrivate: c.AllowPrivate,
		})
		if err != nil {
			return nil, "", err
		}
		return m, m.Host(), nil
	}
}

// noticeJobs are one for each target, so that none waits for another.
func (a *App) noticeJobs() []jobs.Job {
	all := []jobs.Job{{Name: "old notices", Every: time.Hour, Do: a.notices.SweepOnce}}
	for _, name := range a.notices.TargetNames() {
		all = append(all, jobs.Job{
			Name: "notices to " + name, Every: lookAgain, Wake: a.toTarget[name].C(), Do: a.notices.Deliverer(name),
		})
	}
	return all
}
