// Command hongyan is the gateway between a company's systems and WeCom.
package main

func main() {}
