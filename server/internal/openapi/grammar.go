package openapi

import "strings"

// grammar has the members of each object of OpenAPI 3.0 and 3.1, with the shape of their values: an object by its name,
// [x for a list, {x for a map, (x for a map with extensions, text, flag, number, and any for what may be everything.
// Members that it does not name may be everything, too.
var grammar = map[string]map[string]string{
	"document":   members("info info, servers [server, paths (path, webhooks {path, components components, security [requirement, tags [tag, externalDocs docs"),
	"info":       members("title text, summary text, description text, termsOfService text, version text, contact contact, license contact"),
	"contact":    members("name text, url text, email text, identifier text"),
	"server":     members("url text, description text, variables {variable"),
	"variable":   members("enum [text, default text, description text"),
	"docs":       members("url text, description text"),
	"tag":        members("name text, description text, externalDocs docs"),
	"components": members("schemas {schema, responses {response, parameters {parameter, examples {example, requestBodies {body, headers {header, securitySchemes {scheme, links {link, callbacks {callback, pathItems {path"),
	"path": members("summary text, description text, servers [server, parameters [parameter, get operation, put operation, post operation, " +
		"delete operation, options operation, head operation, patch operation, trace operation"),
	"operation": members("tags [text, summary text, description text, externalDocs docs, operationId text, parameters [parameter, requestBody body, responses (response, " +
		"callbacks {callback, deprecated flag, security [requirement, servers [server"),
	"parameter": members("name text, in text, description text, required flag, deprecated flag, allowEmptyValue flag, style text, explode flag, allowReserved flag, schema schema, examples {example, content {media"),
	"header":    members("description text, required flag, deprecated flag, style text, explode flag, schema schema, examples {example, content {media"),
	"body":      members("description text, content {media, required flag"),
	"media":     members("schema schema, examples {example, encoding {encoding"),
	"encoding":  members("contentType text, headers {header, style text, explode flag, allowReserved flag"),
	"response":  members("description text, headers {header, content {media, links {link"),
	"callback":  members("* path"),
	"example":   members("summary text, description text, externalValue text"),
	"link":      members("operationRef text, operationId text, parameters {any, description text, server server"),
	"scheme":    members("type text, description text, name text, in text, scheme text, bearerFormat text, flows flows, openIdConnectUrl text"),
	"flows":     members("implicit flow, password flow, clientCredentials flow, authorizationCode flow"),
	"flow":      members("authorizationUrl text, tokenUrl text, refreshUrl text, scopes {text"),
	// The scopes of a requirement are checked by package contract.
	"requirement": members("* [text"),
	"schema": members("type types, exclusiveMinimum bound, exclusiveMaximum bound, title text, description text, format text, pattern text, multipleOf number, maximum number, minimum number, maxLength number, minLength number, maxItems number, minItems number, " +
		"uniqueItems flag, maxProperties number, minProperties number, required [text, enum [any, examples [any, allOf [schema, anyOf [schema, oneOf [schema, not schema, items schema, " +
		"properties {schema, additionalProperties schema, nullable flag, readOnly flag, writeOnly flag, deprecated flag, externalDocs docs, discriminator discriminator, " +
		"prefixItems [schema, contains schema, patternProperties {schema, propertyNames schema, dependentSchemas {schema, if schema, then schema, else schema, " +
		"unevaluatedItems schema, unevaluatedProperties schema, $defs {schema"),
	"discriminator": members("propertyName text, mapping mapping"),

	// Swagger 2.0, where it differs and what the converter needs.
	"swagger": members("info info, host text, basePath text, schemes [text, consumes [text, produces [text, paths (path2, definitions {schema, parameters {parameter2, " +
		"responses {response2, securityDefinitions {scheme2, security [requirement, tags [tag, externalDocs docs"),
	"path2": members("parameters [parameter2, get operation2, put operation2, post operation2, delete operation2, options operation2, head operation2, patch operation2"),
	"operation2": members("tags [text, summary text, description text, externalDocs docs, operationId text, consumes [text, produces [text, parameters [parameter2, " +
		"responses (response2, schemes [text, deprecated flag, security [requirement"),
	"parameter2": members("name text, in text, description text, required flag, schema schema, type text, format text, items schema, pattern text, enum [any, uniqueItems flag, " +
		"maximum number, minimum number, maxLength number, minLength number, maxItems number, minItems number, multipleOf number"),
	"scheme2":   members("type text, description text, name text, in text, flow text, authorizationUrl text, tokenUrl text, scopes {text"),
	"response2": members("description text, schema schema, headers {schema"),
}

// sections has the section of the components for each object that a $ref can replace.
var sections = map[string]string{
	"schema": "schemas", "response": "responses", "parameter": "parameters", "example": "examples", "body": "requestBodies",
	"parameter2": "parameters", "response2": "responses", "header": "headers", "scheme": "securitySchemes", "link": "links", "callback": "callbacks",
}

func members(list string) map[string]string {
	m := map[string]string{}
	for member := range strings.SplitSeq(list, ", ") {
		name, shape, _ := strings.Cut(member, " ")
		m[name] = shape
	}
	return m
}
