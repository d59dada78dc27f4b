// As much of Android as a bundle's code calls, on a desktop's Java.
package android.content.res

import java.io.File
import java.io.InputStream

class AssetManager(private val root: String) {
    fun open(name: String): InputStream = File(root, name).inputStream()
}
