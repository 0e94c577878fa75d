package identity

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

const messageVersion = 1

// ErrMessageInvalid is what OpenMessage answers for what SealMessage did not make, or not for that use.
var ErrMessageInvalid = errors.New("no message that was sealed here")

// SealMessage makes a text that this registry alone can read and make: what it hands to clients to bring back. The use is
// bound into it, so that a message for one cannot be brought for another.
func (d *Directory) SealMessage(ctx context.Context, use string, plain []byte) (string, error) {
	key, err := d.newestTokenKey(ctx)
	if err != nil {
		return "", err
	}
	keys, err := d.sessionKeys(ctx, key.ID)
	if err != nil {
		return "", err
	}
	header := binary.BigEndian.AppendUint32([]byte{messageVersion}, key.ID)
	sealed := keys.messages.Seal(header, nil, plain, sessionData(header, use))
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenMessage reads what SealMessage made.
func (d *Directory) OpenMessage(ctx context.Context, use, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) <= sessionHeader || sealed[0] != messageVersion {
		return nil, ErrMessageInvalid
	}
	header := sealed[:sessionHeader]
	keys, err := d.sessionKeys(ctx, binary.BigEndian.Uint32(header[1:]))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, ErrMessageInvalid
	case err != nil:
		return nil, err
	}
	plain, err := keys.messages.Open(nil, nil, sealed[sessionHeader:], sessionData(header, use))
	if err != nil {
		return nil, ErrMessageInvalid
	}
	return plain, nil
}
