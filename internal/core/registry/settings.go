package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// SettingName names a document that is set for the registry as a whole.
type SettingName string

// SettingQueries reads settings of the registry.
type SettingQueries interface {
	// Setting gives a document, or ErrNoRow.
	Setting(ctx context.Context, name SettingName) (string, error)
}

// SettingWrites changes settings of the registry.
type SettingWrites interface {
	// PutSetting stores a document in the place of what there was.
	PutSetting(ctx context.Context, name SettingName, body string, at time.Time) error
	// DeleteSetting removes one and tells whether it was there.
	DeleteSetting(ctx context.Context, name SettingName) (bool, error)
}

// ReadSetting reads a document into v, which stays as it is where there is none, and tells whether there was
// one.
func ReadSetting(ctx context.Context, q SettingQueries, name SettingName, v any) (bool, error) {
	body, err := q.Setting(ctx, name)
	switch {
	case errors.Is(err, ErrNoRow):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the setting %s: %w", name, err)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		return false, fmt.Errorf("reading the setting %s: %w", name, err)
	}
	return true, nil
}

// WriteSetting stores v as a document.
func WriteSetting(ctx context.Context, tx SettingWrites, name SettingName, v any, at time.Time) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the setting %s: %w", name, err)
	}
	if err := tx.PutSetting(ctx, name, string(body), at); err != nil {
		return fmt.Errorf("writing the setting %s: %w", name, err)
	}
	return nil
}
