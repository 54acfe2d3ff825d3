package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	kedacontrollers "github.com/kedacore/keda/v2/controllers/keda"
	"github.com/kedacore/keda/v2/pkg/scalers/authentication"
	"github.com/kedacore/keda/v2/pkg/scaling"
)

const (
	namespace = "oracle"
	target    = "target"
	settle    = 250 * time.Millisecond // after each polling, before it is looked at
	timeout   = 3 * time.Second        // of KEDA's questions
)

// story is one line of input: a ScaledObject, and what happens from one polling to the next.
type story struct {
	ID           string          `json:"id"`
	ScaledObject json.RawMessage `json:"scaledObject"`
	Start        float64         `json:"start"` // seconds after 2000-01-01 00:00 UTC, where virtual time begins
	Replicas     int32           `json:"replicas"`
	Steps        []step          `json:"steps"`
}

// step is one polling: what the broker has, and then what the HPA or a person sets.
type step struct {
	Queues    map[string]queue `json:"queues"`
	Later     map[string]queue `json:"later"`     // what it has when the HPA asks, where that differs
	Down      bool             `json:"down"`      // the broker does not answer
	ReadyPods int              `json:"readyPods"` // for a fallback of type Value
	Set       *int32           `json:"set"`       // replicas set after the polling and the asking
}

type queue struct {
	Ready   int     `json:"ready"`
	Unacked int     `json:"unacked"`
	Publish float64 `json:"publish"`
	Deliver float64 `json:"deliver"`
}

// answer is one line of output.
type answer struct {
	ID       string                                 `json:"id"`
	Refused  string                                 `json:"refused"`
	HPA      *autoscalingv2.HorizontalPodAutoscaler `json:"hpa"`
	Replicas []int32                                `json:"replicas"` // after each polling
	Metrics  []map[string]*int64                    `json:"metrics"`  // thousandths after each polling; null: an error
}

func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// TestDecide answers every story on ORACLE_IN, one JSON document a line, on ORACLE_OUT.
func TestDecide(t *testing.T) {
	in, out := os.Getenv("ORACLE_IN"), os.Getenv("ORACLE_OUT")
	if in == "" || out == "" {
		t.Skip("ORACLE_IN and ORACLE_OUT name the files of stories and answers")
	}
	if os.Getenv("KEDA_HTTP_DISABLE_KEEP_ALIVE") != "true" {
		t.Fatal("set KEDA_HTTP_DISABLE_KEEP_ALIVE=true: an idle connection would stop virtual time")
	}
	reader, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	writer, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	operator := newOperator(t)
	decoder, encoder := json.NewDecoder(bufio.NewReaderSize(reader, 1<<20)), json.NewEncoder(writer)
	for {
		var s story
		if err := decoder.Decode(&s); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		found := answer{ID: s.ID}
		if found.Refused = operator.refusal(t, s); found.Refused == "" {
			synctest.Test(t, func(t *testing.T) { operator.tell(t, s, &found) })
		}
		if err := encoder.Encode(found); err != nil {
			t.Fatal(err)
		}
	}
}

// operator is KEDA's: its reconciler and its webhook, on a client that each story exchanges.
type operator struct {
	scheme     *runtime.Scheme
	client     *exchangeable
	reconciler *kedacontrollers.ScaledObjectReconciler
	broker     *broker
}

type exchangeable struct{ client.Client }

func newOperator(t *testing.T) *operator {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, kedav1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	o := &operator{scheme: scheme, client: &exchangeable{}, broker: newBroker(t)}
	manager, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, ctrl.Options{
		Scheme:         scheme,
		Metrics:        metricsserver.Options{BindAddress: "0"},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper(), nil },
		NewClient:      func(*rest.Config, client.Options) (client.Client, error) { return o.client, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&kedav1alpha1.ScaledObject{}).SetupWebhookWithManager(manager, false); err != nil {
		t.Fatal(err)
	}
	o.reconciler = &kedacontrollers.ScaledObjectReconciler{
		Client: o.client, Scheme: scheme, EventEmitter: noEvents{}, ScaleClient: scales(o.client),
		ScaleHandler: o.handler(),
	}
	yes := true
	if err := o.reconciler.SetupWithManager(manager, controller.Options{SkipNameValidation: &yes}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *operator) handler() scaling.ScaleHandler {
	return scaling.NewScaleHandler(o.client, scales(o.client), o.scheme, timeout, noRecords{}, &authentication.AuthClientSet{})
}

// exchange makes a cluster that holds nothing but the target.
func (o *operator) exchange(s story) {
	o.client.Client = fake.NewClientBuilder().WithScheme(o.scheme).WithRESTMapper(mapper()).
		WithStatusSubresource(&kedav1alpha1.ScaledObject{}).WithObjects(deployment(s.Replicas)).Build()
}

// scaledObject reads a story's manifest as the API server does; a broker's address is put in.
func (o *operator) scaledObject(s story) (*kedav1alpha1.ScaledObject, error) {
	object := &kedav1alpha1.ScaledObject{}
	if err := json.Unmarshal(s.ScaledObject, object); err != nil {
		return nil, err
	}
	object.Namespace, object.UID = namespace, types.UID(s.ID)
	for i := range object.Spec.Triggers {
		if object.Spec.Triggers[i].Type == "rabbitmq" {
			object.Spec.Triggers[i].Metadata["host"] = o.broker.url
		}
	}
	return object, nil
}

// refusal returns what KEDA's webhook says against the object, if anything.
func (o *operator) refusal(_ *testing.T, s story) string {
	object, err := o.scaledObject(s)
	if err != nil {
		return err.Error()
	}
	o.exchange(s)
	dryRun := false
	if _, err := object.ValidateCreate(&dryRun); err != nil {
		return err.Error()
	}
	return ""
}

// tell has the operator live through the story.
func (o *operator) tell(t *testing.T, s story, found *answer) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.Sleep(seconds(s.Start))
	o.exchange(s)
	object, err := o.scaledObject(s)
	if err != nil {
		t.Fatal(err)
	}
	object.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	if err := o.client.Create(ctx, object); err != nil {
		t.Fatal(err)
	}
	handler := o.handler()
	o.reconciler.ScaleHandler = handler
	o.broker.show(s.Steps[0])
	key := types.NamespacedName{Namespace: namespace, Name: object.Name}
	if _, err := o.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: key}); err != nil {
		found.Refused = err.Error()
		return
	}
	found.HPA = o.hpa(ctx, t, object)
	polling := 30 * time.Second
	if object.Spec.PollingInterval != nil {
		polling = time.Duration(*object.Spec.PollingInterval) * time.Second
	}
	for i, now := range s.Steps {
		if i > 0 {
			o.broker.show(now)
			time.Sleep(polling - settle)
		}
		time.Sleep(settle) // the polling was at the beginning of it
		synctest.Wait()
		found.Replicas = append(found.Replicas, o.replicas(ctx, t))
		o.pods(ctx, t, now.ReadyPods)
		if now.Later != nil {
			o.broker.show(step{Queues: now.Later})
		}
		found.Metrics = append(found.Metrics, o.ask(ctx, handler, object.Name, found.HPA))
		if now.Set != nil {
			o.setReplicas(ctx, t, *now.Set)
		}
	}
	cancel()
	synctest.Wait()
}

func (o *operator) hpa(ctx context.Context, t *testing.T, object *kedav1alpha1.ScaledObject) *autoscalingv2.HorizontalPodAutoscaler {
	all := &autoscalingv2.HorizontalPodAutoscalerList{}
	if err := o.client.List(ctx, all); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 1 {
		return nil // paused
	}
	return &all.Items[0]
}

// ask asks for each external metric, as the HPA does.
func (o *operator) ask(ctx context.Context, handler scaling.ScaleHandler, name string, hpa *autoscalingv2.HorizontalPodAutoscaler) map[string]*int64 {
	found := map[string]*int64{}
	if hpa == nil {
		return found
	}
	for _, metric := range hpa.Spec.Metrics {
		if metric.External == nil {
			continue
		}
		metricName := metric.External.Metric.Name
		found[metricName] = nil
		if list, err := handler.GetScaledObjectMetrics(ctx, name, namespace, metricName); err == nil && len(list.Items) == 1 {
			milli := list.Items[0].Value.MilliValue()
			found[metricName] = &milli
		}
		synctest.Wait() // caches are cleared behind an error's back
	}
	return found
}

func (o *operator) replicas(ctx context.Context, t *testing.T) int32 {
	found := &appsv1.Deployment{}
	if err := o.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: target}, found); err != nil {
		t.Fatal(err)
	}
	return *found.Spec.Replicas
}

func (o *operator) setReplicas(ctx context.Context, t *testing.T, replicas int32) {
	if err := setReplicas(ctx, o.client, replicas); err != nil {
		t.Fatal(err)
	}
}

// pods makes so many ready pods of the target.
func (o *operator) pods(ctx context.Context, t *testing.T, ready int) {
	if err := o.client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(namespace)); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	for i := range ready {
		if err := o.client.Create(ctx, readyPod(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func mapper() meta.RESTMapper {
	apps, core := schema.GroupVersion{Group: "apps", Version: "v1"}, schema.GroupVersion{Version: "v1"}
	keda := kedav1alpha1.GroupVersion
	scalers := schema.GroupVersion{Group: "autoscaling", Version: "v2"}
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{apps, core, keda, scalers})
	m.Add(apps.WithKind("Deployment"), meta.RESTScopeNamespace)
	m.Add(core.WithKind("Pod"), meta.RESTScopeNamespace)
	m.Add(keda.WithKind("ScaledObject"), meta.RESTScopeNamespace)
	m.Add(scalers.WithKind("HorizontalPodAutoscaler"), meta.RESTScopeNamespace)
	return m
}

func deployment(replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": target}
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	container := corev1.Container{Name: "worker", Image: "worker", Resources: corev1.ResourceRequirements{Requests: requests}}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: target, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{container}},
			},
		},
	}
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }
