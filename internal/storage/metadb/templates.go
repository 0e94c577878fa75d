package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const selectTemplate = `SELECT body, created_at, updated_at FROM creation_templates `

func scanTemplate(rows *sql.Rows, t *registry.Template) error {
	return rows.Scan(jsonColumn{t}, timeColumn{&t.CreatedAt}, timeColumn{&t.UpdatedAt})
}

// TemplatesOf implements registry.TemplateQueries.
func (q queries) TemplatesOf(ctx context.Context, keys []string) ([]registry.Template, error) {
	wanted, err := jsonText(keys)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanTemplate, selectTemplate+`WHERE prefix IN (SELECT value FROM texts($1)) ORDER BY prefix`, wanted)
}

// Templates implements registry.TemplateQueries.
func (q queries) Templates(ctx context.Context, after string, limit int) ([]registry.Template, error) {
	return list(ctx, q.s, scanTemplate, selectTemplate+`WHERE prefix > $1 ORDER BY prefix LIMIT $2`, after, limit)
}

// LockTemplate implements registry.TemplateWrites.
func (t tx) LockTemplate(ctx context.Context, key string) (registry.Template, error) {
	return one(ctx, t.s, scanTemplate, selectTemplate+`WHERE prefix = $1 FOR UPDATE`, key)
}

// InsertTemplate implements registry.TemplateWrites.
func (t tx) InsertTemplate(ctx context.Context, tpl registry.Template) error {
	body, err := jsonText(tpl)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `
		INSERT INTO creation_templates (prefix, body, created_at, updated_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (prefix) DO NOTHING`, tpl.Key(), body, micros(tpl.CreatedAt), micros(tpl.UpdatedAt))
	if err == nil && n == 0 {
		return registry.ErrConflict
	}
	return err
}

// UpdateTemplate implements registry.TemplateWrites.
func (t tx) UpdateTemplate(ctx context.Context, tpl registry.Template) error {
	body, err := jsonText(tpl)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `UPDATE creation_templates SET body = $1, updated_at = $2 WHERE prefix = $3`,
		body, micros(tpl.UpdatedAt), tpl.Key())
	if err == nil && n == 0 {
		return registry.ErrConflict
	}
	return err
}

// DeleteTemplate implements registry.TemplateWrites.
func (t tx) DeleteTemplate(ctx context.Context, key string) error {
	_, err := t.s.exec(ctx, `DELETE FROM creation_templates WHERE prefix = $1`, key)
	return err
}
