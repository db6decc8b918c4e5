// Makes calls with AWS's SDK for Go: read as JSON from standard input, answered in the same order.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

type call struct {
	URL       string          `json:"url"`
	Operation string          `json:"operation"`
	Arguments json.RawMessage `json:"arguments"`
}

type failure struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Reason  string `json:"reason,omitempty"`
}

type answered struct {
	Answer any      `json:"answer,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// clientOf returns a client of one endpoint that tries once.
func clientOf(url string) *lambda.Client {
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret-for-tests"}, nil
	})
	return lambda.New(lambda.Options{
		Region:           "us-east-1",
		Credentials:      credentials,
		Retryer:          aws.NopRetryer{},
		EndpointResolver: lambda.EndpointResolverFromURL(url),
	})
}

// send finds the method by the operation's name: its arguments have AWS's names, and so has its answer.
func send(one call) answered {
	method := reflect.ValueOf(clientOf(one.URL)).MethodByName(one.Operation)
	input := reflect.New(method.Type().In(1).Elem())
	check(json.Unmarshal(one.Arguments, input.Interface()))
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	if results[1].IsNil() {
		return answered{Answer: results[0].Interface()}
	}
	err := results[1].Interface().(error)
	var response *awshttp.ResponseError
	var refusal smithy.APIError
	if !errors.As(err, &response) || !errors.As(err, &refusal) {
		panic(err)
	}
	failed := &failure{
		Status:  response.HTTPStatusCode(),
		Code:    refusal.ErrorCode(),
		Message: refusal.ErrorMessage(),
	}
	var throttle *types.TooManyRequestsException
	if errors.As(err, &throttle) {
		failed.Reason = string(throttle.Reason)
	}
	return answered{Error: failed}
}

func main() {
	var calls []call
	check(json.NewDecoder(os.Stdin).Decode(&calls))
	answers := []answered{}
	for _, one := range calls {
		answers = append(answers, send(one))
	}
	check(json.NewEncoder(os.Stdout).Encode(answers))
}
