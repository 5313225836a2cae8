package httpapi

import (
	"context"
	"errors"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/config"
	"sesame/server/internal/keys"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// Info describes the server for administrators.
type Info struct {
	Version       string
	Engine        string // sqlite or postgres
	SchemaVersion int64
	StartedAt     time.Time
	Settings      []config.Setting
}

// GetSettings is GET /settings.
func (s *Server) GetSettings(ctx context.Context, _ api.GetSettingsRequestObject) (api.GetSettingsResponseObject, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return nil, err
	}
	settings := make([]api.Setting, len(info.Settings))
	for i, one := range info.Settings {
		settings[i] = api.Setting{Name: one.Name, Flag: orNull(one.Flag), Value: one.Value, Source: api.SettingSource(one.Source), Description: one.Help}
	}
	return api.GetSettings200JSONResponse{
		Version: info.Version, Engine: api.ServerSettingsEngine(info.Engine), StartedAt: info.StartedAt, Settings: settings,
		SchemaVersion: int32(info.SchemaVersion), //nolint:gosec // the number of a migration
	}, nil
}

// ListSigningKeys is GET /keys.
func (s *Server) ListSigningKeys(ctx context.Context, _ api.ListSigningKeysRequestObject) (api.ListSigningKeysResponseObject, error) {
	list, err := s.signingKeys(ctx)
	return api.ListSigningKeys200JSONResponse(list), err
}

// RotateSigningKey is POST /keys/rotate.
func (s *Server) RotateSigningKey(ctx context.Context, request api.RotateSigningKeyRequestObject) (api.RotateSigningKeyResponseObject, error) {
	set := s.Keys[0]
	if request.Body.Signs == api.KeyUseIDTokens {
		set = s.Keys[1]
	}
	err := set.Rotate(ctx, caller(ctx).Actor())
	if errors.Is(err, keys.ErrTooMany) {
		p := problem.Wrap(problem.TooManyRequests, "There are as many keys as there may be. Wait until one of the retired keys is removed.", err)
		p.RetryAfter = min(max(set.Removal().Sub(set.Now()), time.Second), store.LongestWait)
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	list, err := s.signingKeys(ctx)
	return api.RotateSigningKey200JSONResponse(list), err
}

func (s *Server) signingKeys(ctx context.Context) (list api.SigningKeys, err error) {
	list.Items = []api.SigningKey{}
	for _, set := range s.Keys {
		infos, err := set.Infos(ctx)
		if err != nil {
			return list, err
		}
		for _, k := range infos {
			list.Items = append(list.Items, api.SigningKey{
				Kid: k.ID, Signs: api.KeyUse(k.Signs), Alg: k.Alg, State: api.SigningKeyState(k.State), CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom,
				RetiresAt: orNullTime(orZero(k.RetiresAt)), RemovedAt: orNullTime(orZero(k.RemovedAt)),
			})
		}
	}
	return list, nil
}

// ListMails is GET /mails.
func (s *Server) ListMails(ctx context.Context, request api.ListMailsRequestObject) (api.ListMailsResponseObject, error) {
	mails, next, err := s.Mails.List(ctx, text(request.Params.Cursor), limit(request.Params.Limit))
	if err != nil {
		return nil, err
	}
	items := make([]api.WaitingMail, len(mails))
	for i, m := range mails {
		items[i] = api.WaitingMail{
			ID: m.ID, Kind: m.Kind, To: orNull(m.To), Sending: m.Sending, CreatedAt: m.CreatedAt, NextAttemptAt: m.NextTryAt, LastError: orNull(m.LastError),
			Attempts: int32(m.Attempts), //nolint:gosec // one an hour at most
		}
	}
	return api.ListMails200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// SendTestMail is POST /mails/test.
func (s *Server) SendTestMail(ctx context.Context, _ api.SendTestMailRequestObject) (api.SendTestMailResponseObject, error) {
	detail, sent, err := s.Mails.SendTest(ctx, caller(ctx).User)
	return api.SendTestMail200JSONResponse{Sent: sent, Detail: detail}, err
}

// DeleteMail is DELETE /mails/{mail_id}.
func (s *Server) DeleteMail(ctx context.Context, request api.DeleteMailRequestObject) (api.DeleteMailResponseObject, error) {
	return api.DeleteMail204Response{}, s.Mails.Delete(ctx, idOf(request.MailID), caller(ctx).Actor())
}

// RetryMail is POST /mails/{mail_id}/retry.
func (s *Server) RetryMail(ctx context.Context, request api.RetryMailRequestObject) (api.RetryMailResponseObject, error) {
	return api.RetryMail204Response{}, s.Mails.Retry(ctx, idOf(request.MailID))
}
