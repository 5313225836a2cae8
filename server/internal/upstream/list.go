package upstream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"sesame/server/internal/problem"
)

// ProviderPage returns a page of the providers, the oldest first, and the cursor of the next page, or "". There are at most maxProviders, so
// it reads them all. Errors: BadRequest for a cursor of another list.
func (s *Service) ProviderPage(ctx context.Context, cursor string, limit int) (page []Provider, next string, err error) {
	if page, err = s.Providers(ctx); err != nil {
		return nil, "", err
	}
	if cursor != "" {
		after, err := s.Cursors.Read(providerList, cursor)
		if err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
		at, name, _ := strings.Cut(after, " ")
		page = slices.DeleteFunc(page, func(p Provider) bool {
			return cmp.Or(strings.Compare(position(p), at), strings.Compare(p.Name, name)) <= 0
		})
	}
	if len(page) <= limit {
		return page, "", nil
	}
	last := page[limit-1]
	return page[:limit], s.Cursors.Text(providerList, position(last)+" "+last.Name), nil
}

// providerList names the list of providers in cursors, and position is where it has a provider: by its creation.
const providerList = "providers"

func position(p Provider) string { return fmt.Sprintf("%020d", p.CreatedAt.UnixMicro()) }
