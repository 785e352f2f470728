// Package httpapi is the HTTP edge of the gateway: it decodes strictly,
// authenticates, calls one stage, and answers JSON or a problem.
//
// Every route stands in one table (routes.go), from which the handler, the
// OpenAPI description and the tests are made. Handlers return errors; one
// place turns them into RFC 9457 problems in the caller's language.
//
// What it needs of the rest of the program is in services.go.
package httpapi
