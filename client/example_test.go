package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"hongyan/client"
)

func ExampleClient_Send() {
	c, err := client.New(client.Options{URL: os.Getenv("HONGYAN_URL"), Key: os.Getenv("HONGYAN_KEY")})
	if err != nil {
		log.Fatal(err)
	}
	sent, err := c.Send(context.Background(), client.SendRequest{
		Scene: "program-alert",
		To:    &client.To{Users: []string{"zhangsan"}},
		Data:  map[string]any{"service": "billing", "error": "out of memory"},
	}, client.SendOptions{IdempotencyKey: "alert-1001"})
	if e, ok := errors.AsType[*client.Error](err); ok {
		log.Fatal(e.Code, e.Fields)
	}
	fmt.Println(sent.ID, sent.State)
}
