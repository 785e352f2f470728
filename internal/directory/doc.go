// Package directory knows who is in a department, a tag or everybody that an
// app sees, so that pacing can count a message for each member it reaches.
//
// What it knows of an app is a snapshot in memory. It is read at the first use
// of a department, a tag or @all, renewed every few hours while it is used,
// kept in the store for restarts and for other nodes, and trusted for two days
// when it cannot be renewed. Until there is one, and where it has a gap,
// [Directory.Members] says that it does not know: the caller then counts for
// everybody. Members that cannot receive are counted too. Both err on the safe
// side: WeCom silently drops what is over a member's limit.
//
// Reading is bounded and polite, and failing has no effect beyond this package:
// no message waits for it and no app is blocked by it.
package directory
