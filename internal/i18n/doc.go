// Package i18n holds the texts of the API in Chinese and English: for every
// error code a title, a detail and a fix, and for every field rule a message
// and a fix. The producer of an error names a code and arguments; the edge
// asks for the text in the caller's language.
//
// Texts carry numbered placeholders, {0} for the first argument. A text whose
// arguments are missing is never shown: the form without arguments stands in.
// Everything here is read-only and safe for concurrent use.
package i18n
