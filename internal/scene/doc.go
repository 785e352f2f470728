// Package scene gives a scene its life: it finds the live version behind a key
// or a code, checks a request's data against the scene's variables, renders
// the content, and finds everything that can be known wrong with a scene
// before it is saved.
//
// Compiled scenes are cached per version, so a request compiles nothing.
package scene
