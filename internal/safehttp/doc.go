// Package safehttp fetches addresses that strangers name without letting them
// reach into the network the gateway runs in. The check is made on the
// resolved address at the moment of dialling, so that neither DNS tricks nor
// odd spellings of an address get around it.
package safehttp
