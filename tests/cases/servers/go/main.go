// Go's own net/http: it uses the socket or $PORT, and finishes its requests at SIGTERM.
package main

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const VERSION = "1"
const half = 2 << 20

func version(response http.ResponseWriter, _ *http.Request) {
	response.Write([]byte(VERSION))
}

// The second half comes once data/release exists.
func hold(response http.ResponseWriter, _ *http.Request) {
	response.Write(bytes.Repeat([]byte("a"), half))
	response.(http.Flusher).Flush()
	for {
		if _, err := os.Stat("data/release"); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	response.Write(bytes.Repeat([]byte("b"), half))
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/version", version)
	mux.HandleFunc("/hold", hold)
	return mux
}

// The socket that devrun --listen hands over, or one on the port that devrun --proxy chose.
func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") != "" {
		return net.FileListener(os.NewFile(3, "handed over"))
	}
	return net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
}

func main() {
	listener, err := listen()
	if err != nil {
		log.Fatal(err)
	}
	terminated, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	server := &http.Server{Handler: routes()}
	finished := make(chan error)
	go func() {
		<-terminated.Done()
		finished <- server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-finished; err != nil {
		log.Fatal(err)
	}
}
