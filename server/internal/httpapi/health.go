package httpapi

import (
	"context"

	"sesame/gen/api"
	"sesame/server/internal/problem"
)

// GetHealth is GET /healthz.
func (s *Server) GetHealth(context.Context, api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200JSONResponse{Status: api.HealthStatusOk}, nil
}

// GetReadiness is GET /readyz.
func (s *Server) GetReadiness(ctx context.Context, _ api.GetReadinessRequestObject) (api.GetReadinessResponseObject, error) {
	if s.stopping.Load() {
		return nil, problem.New(problem.Unavailable, "The server is shutting down.")
	}
	if err := s.Ready(ctx); err != nil {
		s.OAuth.NoteReadiness(ctx, err)
		return nil, err
	}
	return api.GetReadiness200JSONResponse{Status: api.HealthStatusOk}, nil
}
