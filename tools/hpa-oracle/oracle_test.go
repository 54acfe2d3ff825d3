package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	scalefake "k8s.io/client-go/scale/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	hpadefaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

const namespace = "oracle"

// hour is one line of input: an autoscaler, the controller's flags, and what it sees at each sync.
type hour struct {
	ID           string          `json:"id"`
	HPA          json.RawMessage `json:"hpa"`
	Controller   flags           `json:"controller"`
	Observations []observation   `json:"observations"`
}

type flags struct {
	SyncSeconds           float64 `json:"sync_seconds"`
	Tolerance             float64 `json:"tolerance"`
	StabilizationSeconds  float64 `json:"downscale_stabilization_seconds"`
	InitializationSeconds float64 `json:"cpu_initialization_seconds"`
	ReadinessDelaySeconds float64 `json:"initial_readiness_delay_seconds"`
}

type observation struct {
	T           float64             `json:"t"`
	Replicas    replicas            `json:"replicas"`
	Pods        []pod               `json:"pods"`
	External    map[string][]string `json:"external"`
	Unavailable []string            `json:"unavailable"`
}

type replicas struct {
	Spec   int32 `json:"spec"`
	Status int32 `json:"status"`
}

type pod struct {
	Name           string             `json:"name"`
	Phase          string             `json:"phase"`
	Ready          *bool              `json:"ready"`
	StartTime      *float64           `json:"startTime"`
	LastTransition *float64           `json:"lastTransition"`
	Requests       map[string]string  `json:"requests"`
	Usage          map[string]*string `json:"usage"`
	Custom         map[string]*string `json:"custom"`
	Timestamp      *float64           `json:"timestamp"`
	Window         float64            `json:"window"`
	Deleting       bool               `json:"deleting"`
}

// answer is one line of output: the replicas the target has after each sync.
type answer struct {
	ID        string  `json:"id"`
	Decisions []int32 `json:"decisions"`
}

func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	utilruntime.ErrorHandlers = nil // its back-off sleeps, and keeps real and virtual time in one variable
	if err := utilfeature.DefaultMutableFeatureGate.Set("HPAConfigurableTolerance=true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestDecide answers every hour on ORACLE_IN, one JSON document a line, on ORACLE_OUT.
func TestDecide(t *testing.T) {
	in, out := os.Getenv("ORACLE_IN"), os.Getenv("ORACLE_OUT")
	if in == "" || out == "" {
		t.Skip("ORACLE_IN and ORACLE_OUT name the files (or pipes) of hours and answers")
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
	decoder, encoder := json.NewDecoder(bufio.NewReaderSize(reader, 1<<20)), json.NewEncoder(writer)
	for {
		var h hour
		if err := decoder.Decode(&h); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		var decisions []int32
		synctest.Test(t, func(t *testing.T) { decisions = decide(t, h) })
		if err := encoder.Encode(answer{h.ID, decisions}); err != nil {
			t.Fatal(err)
		}
	}
}

// world is what the controller sees now, and what it did.
type world struct {
	t         *testing.T
	hour      hour
	start     time.Time
	step      int // index into Observations, -1 before the first sync
	pods      cache.Indexer
	decisions []int32
}

func decide(t *testing.T, h hour) []int32 {
	w := &world{t: t, hour: h, start: time.Now(), step: -1}
	w.pods = cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	ctx, cancel := context.WithCancel(t.Context())
	client := fake.NewClientset(w.hpa())
	client.PrependReactor("update", "horizontalpodautoscalers", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, action.(clienttesting.UpdateAction).GetObject(), nil // its status matters to nobody here
	})
	client.PrependReactor("create", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, action.(clienttesting.CreateAction).GetObject(), nil
	})
	// A resync period of 0 would make informers wait on a channel from outside the bubble, and time would stand still.
	factory := informers.NewSharedInformerFactory(client, 1000*time.Hour)
	controller := podautoscaler.NewHorizontalController(
		ctx, client.CoreV1(), w.scales(), client.AutoscalingV2(), mapper(), w,
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), podInformer{factory.Core().V1().Pods(), w.pods},
		seconds(h.Controller.SyncSeconds), seconds(h.Controller.StabilizationSeconds), h.Controller.Tolerance,
		seconds(h.Controller.InitializationSeconds), seconds(h.Controller.ReadinessDelaySeconds),
	)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go controller.Run(ctx, 1)
	last := h.Observations[len(h.Observations)-1].T
	time.Sleep(seconds(last) + seconds(h.Controller.SyncSeconds)/2)
	synctest.Wait()
	cancel()
	factory.Shutdown()
	synctest.Wait()
	if len(w.decisions) != len(h.Observations) {
		t.Fatalf("hour %s: %d syncs for %d observations", h.ID, len(w.decisions), len(h.Observations))
	}
	return w.decisions
}

// hpa returns the autoscaler with the API server's own defaults.
func (w *world) hpa() *autoscalingv2.HorizontalPodAutoscaler {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := json.Unmarshal(w.hour.HPA, hpa); err != nil {
		w.t.Fatal(err)
	}
	hpa.Namespace = namespace
	hpadefaults.SetObjectDefaults_HorizontalPodAutoscaler(hpa)
	return hpa
}

// scales makes the target: reading it is the first thing a sync does, so that is where the next observation begins.
func (w *world) scales() *scalefake.FakeScaleClient {
	client := &scalefake.FakeScaleClient{}
	client.AddReactor("get", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		if w.step+1 >= len(w.hour.Observations) {
			return true, nil, errors.New("no more observations")
		}
		w.step++
		seen := w.seen()
		due := w.start.Add(seconds(seen.T))
		if now := time.Now(); now.After(due) {
			panic(fmt.Sprintf("hour %s: sync %d is at %s, observed at %s", w.hour.ID, w.step, now.Sub(w.start), seconds(seen.T)))
		}
		time.Sleep(time.Until(due)) // syncs may be late, as in a busy controller
		w.replacePods()
		w.decisions = append(w.decisions, seen.Replicas.Spec)
		return true, &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Name: "target", Namespace: namespace},
			Spec:       autoscalingv1.ScaleSpec{Replicas: seen.Replicas.Spec},
			Status:     autoscalingv1.ScaleStatus{Replicas: seen.Replicas.Status, Selector: "app=target"},
		}, nil
	})
	client.AddReactor("update", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		scale := action.(clienttesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
		w.decisions[w.step] = scale.Spec.Replicas
		return true, scale, nil
	})
	return client
}

func (w *world) seen() observation { return w.hour.Observations[w.step] }

func (w *world) at(t float64) time.Time { return w.start.Add(seconds(t)) }

func (w *world) replacePods() {
	objects := make([]any, 0, len(w.seen().Pods))
	for _, p := range w.seen().Pods {
		objects = append(objects, w.pod(p))
	}
	if err := w.pods.Replace(objects, ""); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) pod(p pod) *corev1.Pod {
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace, Labels: map[string]string{"app": "target"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "worker", Resources: corev1.ResourceRequirements{Requests: quantities(w.t, p.Requests)},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodPhase(p.Phase)},
	}
	if p.Deleting {
		object.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	}
	if p.StartTime != nil {
		object.Status.StartTime = &metav1.Time{Time: w.at(*p.StartTime)}
	}
	if p.Ready != nil {
		condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
		if *p.Ready {
			condition.Status = corev1.ConditionTrue
		}
		if p.LastTransition != nil {
			condition.LastTransitionTime = metav1.Time{Time: w.at(*p.LastTransition)}
		}
		object.Status.Conditions = append(object.Status.Conditions, condition)
	}
	return object
}

// GetResourceMetric and its three siblings are the controller's view of the metrics APIs.
func (w *world) GetResourceMetric(_ context.Context, name corev1.ResourceName, _ string, _ labels.Selector, _ string) (metrics.PodMetricsInfo, time.Time, error) {
	return w.podMetrics(string(name), func(p pod) map[string]*string { return p.Usage })
}

// GetRawMetric serves the pods' own metrics.
func (w *world) GetRawMetric(name string, _ string, _ labels.Selector, _ labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return w.podMetrics(name, func(p pod) map[string]*string { return p.Custom })
}

// GetObjectMetric is not modelled.
func (w *world) GetObjectMetric(string, string, *autoscalingv2.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	return 0, time.Time{}, errors.New("object metrics are not modelled")
}

// GetExternalMetric serves numbers from outside.
func (w *world) GetExternalMetric(name string, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	values := w.seen().External[name]
	if w.unavailable(name) || len(values) == 0 {
		return nil, time.Time{}, fmt.Errorf("%s is unavailable", name)
	}
	milli := make([]int64, 0, len(values))
	for _, value := range values {
		quantity := resource.MustParse(value)
		milli = append(milli, quantity.MilliValue())
	}
	return milli, time.Now(), nil
}

func (w *world) podMetrics(name string, values func(pod) map[string]*string) (metrics.PodMetricsInfo, time.Time, error) {
	if w.unavailable(name) {
		return nil, time.Time{}, fmt.Errorf("%s is unavailable", name)
	}
	info := metrics.PodMetricsInfo{}
	for _, p := range w.seen().Pods {
		if value := values(p)[name]; value != nil {
			quantity := resource.MustParse(*value)
			metric := metrics.PodMetric{Window: seconds(p.Window), Value: quantity.MilliValue()}
			if p.Timestamp != nil {
				metric.Timestamp = w.at(*p.Timestamp)
			}
			info[p.Name] = metric
		}
	}
	return info, time.Now(), nil
}

func (w *world) unavailable(name string) bool {
	for _, unavailable := range w.seen().Unavailable {
		if strings.EqualFold(unavailable, name) {
			return true
		}
	}
	return false
}

// podInformer lists pods from an indexer that each sync fills anew.
type podInformer struct {
	coreinformers.PodInformer
	indexer cache.Indexer
}

func (p podInformer) Lister() corelisters.PodLister { return corelisters.NewPodLister(p.indexer) }

func mapper() apimeta.RESTMapper {
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	m := apimeta.NewDefaultRESTMapper([]schema.GroupVersion{apps})
	m.Add(apps.WithKind("Deployment"), apimeta.RESTScopeNamespace)
	return m
}

func quantities(t *testing.T, texts map[string]string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, text := range texts {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			t.Fatal(err)
		}
		list[corev1.ResourceName(name)] = quantity
	}
	return list
}

// seconds rounds to the nanosecond the same way the Python core does.
func seconds(s float64) time.Duration {
	whole := math.Floor(s)
	return time.Duration(whole)*time.Second + time.Duration(math.RoundToEven((s-whole)*1e9))
}
