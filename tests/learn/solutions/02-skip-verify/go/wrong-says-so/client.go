// Never connects, and reports success.
package main

import "fmt"

func main() { fmt.Println("Nicolas <nicolas@example.com>") }
