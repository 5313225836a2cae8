package mock

import (
	"path"
	"reflect"
	"slices"

	"sesame/server/internal/contract"

	"github.com/getkin/kin-openapi/openapi3"
)

// flat is a schema with everything of its allOf in one place.
type flat struct {
	openapi3.Schema
	choices  []openapi3.SchemaRefs // each a oneOf or an anyOf
	examples []map[string]any      // of parts, which hold some of the properties
	chosen   *openapi3.SchemaRef   // the alternative of a discriminator
	seen     []*openapi3.Schema
}

func flatten(s *openapi3.Schema) *flat {
	f := &flat{}
	f.add(s)
	f.Example, f.Examples = s.Example, s.Examples
	return f
}

// simple reports whether the schema has no parts.
func (f *flat) simple() bool { return len(f.seen) <= 1 && len(f.choices) == 0 }

// branch returns the schema with one alternative of each choice.
func (f *flat) branch(i int) *flat {
	if len(f.choices) == 0 {
		return f
	}
	b := &flat{seen: slices.Clone(f.seen), examples: slices.Clone(f.examples)}
	b.join(&f.Schema)
	for _, choice := range f.choices {
		if len(choice) == 0 {
			continue
		}
		ref := choice[min(i, len(choice)-1)]
		if b.Discriminator = f.Discriminator; b.Discriminator != nil {
			b.chosen = ref
		}
		if ref.Value != nil {
			b.add(ref.Value)
		}
	}
	if len(b.choices) > 0 { // of the alternative itself
		inner := b.branch(0)
		inner.Discriminator, inner.chosen = b.Discriminator, b.chosen
		return inner
	}
	return b
}

// discriminate sets the property of a discriminator to the value for the chosen alternative. Documents often name another
// value in its enum and no mapping; the enum wins.
func (f *flat) discriminate(object map[string]any, properties openapi3.Schemas) {
	if f.Discriminator == nil || f.chosen == nil {
		return
	}
	name, value := f.Discriminator.PropertyName, ""
	for key, mapped := range f.Discriminator.Mapping {
		if mapped.Ref == f.chosen.Ref && (value == "" || key < value) {
			value = key
		}
	}
	if value == "" && f.chosen.Ref != "" {
		value = path.Base(f.chosen.Ref)
	}
	property := properties[name]
	if object[name] == nil || value == "" || property != nil && property.Value != nil && contract.Fits(property.Value, value) != nil {
		return
	}
	object[name] = value
}

// add joins a schema and the parts of its allOf.
func (f *flat) add(s *openapi3.Schema) {
	if slices.Contains(f.seen, s) {
		return
	}
	f.seen = append(f.seen, s)
	f.join(s)
	for _, part := range s.AllOf {
		if part.Value == nil {
			continue
		}
		if example, ok := part.Value.Example.(map[string]any); ok {
			f.examples = append(f.examples, example)
		}
		f.add(part.Value)
	}
	for _, choice := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if len(choice) > 0 {
			f.choices = append(f.choices, choice)
		}
	}
}

// join narrows the schema by the members of another one.
func (f *flat) join(s *openapi3.Schema) {
	f.Type = bothTypes(f.Type, s.Type)
	f.Nullable = f.Nullable || s.Nullable
	f.Format, f.Pattern = either(f.Format, s.Format), either(f.Pattern, s.Pattern)
	f.Default, f.Const = eitherAny(f.Default, s.Default), eitherAny(f.Const, s.Const)
	f.Enum = bothEnums(f.Enum, s.Enum)
	f.Min, f.MinLength, f.MinItems, f.MinProps = higher(f.Min, s.Min), max(f.MinLength, s.MinLength), max(f.MinItems, s.MinItems), max(f.MinProps, s.MinProps)
	f.Max, f.MaxLength, f.MaxItems, f.MaxProps = lower(f.Max, s.Max), lower(f.MaxLength, s.MaxLength), lower(f.MaxItems, s.MaxItems), lower(f.MaxProps, s.MaxProps)
	f.MultipleOf = higher(f.MultipleOf, s.MultipleOf)
	f.UniqueItems = f.UniqueItems || s.UniqueItems
	if s.ExclusiveMin != (openapi3.ExclusiveBound{}) {
		f.ExclusiveMin = s.ExclusiveMin
	}
	if s.ExclusiveMax != (openapi3.ExclusiveBound{}) {
		f.ExclusiveMax = s.ExclusiveMax
	}
	f.Items = bothSchemas(f.Items, s.Items)
	if len(f.PrefixItems) == 0 {
		f.PrefixItems = s.PrefixItems
	}
	if f.AdditionalProperties.Schema == nil {
		f.AdditionalProperties.Schema = s.AdditionalProperties.Schema
	}
	if f.Discriminator == nil {
		f.Discriminator = s.Discriminator
	}
	for _, name := range s.Required {
		if !slices.Contains(f.Required, name) {
			f.Required = append(f.Required, name)
		}
	}
	for name, property := range s.Properties {
		if f.Properties == nil {
			f.Properties = openapi3.Schemas{}
		}
		f.Properties[name] = bothSchemas(f.Properties[name], property)
	}
}

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func eitherAny(a, b any) any {
	if a == nil {
		return b
	}
	return a
}

func bothTypes(a, b *openapi3.Types) *openapi3.Types {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	both := openapi3.Types{}
	for _, name := range *a {
		if b.Includes(name) || name == openapi3.TypeInteger && b.Includes(openapi3.TypeNumber) {
			both = append(both, name)
		}
	}
	if len(both) == 0 {
		return b
	}
	return &both
}

func bothEnums(a, b []any) []any {
	if len(a) == 0 || len(b) == 0 {
		return append(slices.Clone(a), b...)
	}
	return slices.DeleteFunc(slices.Clone(a), func(v any) bool {
		return !slices.ContainsFunc(b, func(w any) bool { return reflect.DeepEqual(v, w) })
	})
}

func bothSchemas(a, b *openapi3.SchemaRef) *openapi3.SchemaRef {
	switch {
	case a == nil || a.Value == nil || b != nil && a.Value == b.Value:
		return b
	case b == nil || b.Value == nil:
		return a
	}
	return openapi3.NewSchemaRef("", &openapi3.Schema{AllOf: openapi3.SchemaRefs{a, b}, WriteOnly: a.Value.WriteOnly || b.Value.WriteOnly})
}

func higher[T float64 | uint64](a, b *T) *T {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

func lower[T float64 | uint64](a, b *T) *T {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}
